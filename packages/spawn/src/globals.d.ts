/** The package's version, which the bundler inserts. */
declare const __VERSION__: string;
