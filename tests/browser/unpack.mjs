// Unpacks the browser of @sparticuz/chromium and prints its path: for machines without a Chrome or Chromium of their own.
import chromium from "@sparticuz/chromium";

console.log(await chromium.executablePath());
