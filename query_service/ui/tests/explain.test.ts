import { describe, expect, it } from "vitest";
import type { SharedAttribute } from "../src/api/types";
import { attributeWords, sharedFirst, valueWords } from "../src/pages/explain_layout";

const one = (more: Partial<SharedAttribute>): SharedAttribute =>
  ({
    attribute: "model",
    key: null,
    operator: "is",
    value: "m",
    difference: 0.5,
    ...more,
  }) as SharedAttribute;

describe("an explanation", () => {
  it("says numbers with their unit, and steps without the sign between kind and name", () => {
    expect(valueWords(one({ attribute: "latency_ms", operator: "at_least", value: "8000" }))).toBe(
      "≥ 8.00 s",
    );
    expect(valueWords(one({ attribute: "tokens", operator: "at_least", value: "19361" }))).toBe("≥ 19k");
    expect(valueWords(one({ attribute: "cost_usd", operator: "at_least", value: "0.02" }))).toBe(
      "≥ 0.020 USD",
    );
    expect(valueWords(one({ attribute: "failed_step", value: "tool/a/b" }))).toBe("tool a/b");
  });

  it("names metadata by its key, and an attribute that it does not know by what the API calls it", () => {
    expect(attributeWords(one({ attribute: "metadata", key: "channel" }))).toBe("channel");
    expect(attributeWords(one({ attribute: "new_thing" }))).toBe("new thing");
  });

  it("has what they share before what they lack", () => {
    const [less, more, most] = [
      one({ difference: -0.9 }),
      one({ difference: 0.2 }),
      one({ difference: 0.1 }),
    ];
    expect(sharedFirst([less, more, most])).toEqual([more, most, less]);
  });
});
