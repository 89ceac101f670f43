/** Pure modules only read the address; they need no browser besides. */
Object.defineProperty(globalThis, "location", { value: new URL("http://127.0.0.1/") });
