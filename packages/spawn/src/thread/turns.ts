/**
 * The upper bounds, in seconds, of the buckets of the histogram of an event loop's turns. A turn
 * is the time from one wait to the next; what becomes ready during a turn has to wait for its end.
 */
export const TURN_BOUNDS = [1e-4, 5e-4, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5];
