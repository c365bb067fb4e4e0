/** The package's version; the bundler puts it in. */
declare const __VERSION__: string;
