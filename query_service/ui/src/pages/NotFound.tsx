import { Empty } from "../parts/parts";
import { pageHref } from "../state/url";

export function NotFound() {
  return (
    <Empty page title="There is no such page.">
      <a href={pageHref("/")}>Overview</a> · <a href={pageHref("/runs")}>Runs</a>
    </Empty>
  );
}
