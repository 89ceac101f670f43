/** Mounts the pages. */
import { render } from "preact";
import { App } from "./app";
import { findSession } from "./state/session";
import { startRouting } from "./state/url";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/parts.css";
import "./styles/waterfall.css";

startRouting();
void findSession();
render(<App />, document.getElementById("app")!);
