/*
 * The entry for `import`. It gives what `require` gives, so that a program which uses both has one SentinovaError.
 */

export { SentinovaClient, SentinovaError, VERSION } from "./index.js";
export type * from "./index.js";
