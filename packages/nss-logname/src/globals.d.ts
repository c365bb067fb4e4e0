/** The package's version, put there by the bundler. */
declare const __VERSION__: string;
