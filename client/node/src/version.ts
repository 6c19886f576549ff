/*
 * The version of this package, which the server's log and metrics may see as part of the user agent.
 */

/** The version of this package, as in package.json. */
export const VERSION = "0.1.0";
