import { Recorder } from "../../market/history";
import { sharedClient } from "../../market/shared";

/** Outlives the page, so that candles are still there when one comes back to it. */
export const recorder = new Recorder(sharedClient(), "QUOTE");
