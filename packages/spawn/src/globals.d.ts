/** The version of the suite, which the bundler inserts. */
declare const __VERSION__: string;
