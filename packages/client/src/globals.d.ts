/** The package's version; the bundler defines it. */
declare const __VERSION__: string;
