// How much of one frequency there is: for the ears of pages and of desk phones.

/** The amplitude of `frequency` in `samples`, from 0 to 1, by Goertzel's algorithm behind a Hann window. */
export function goertzel(samples, rate, frequency) {
  const coefficient = 2 * Math.cos((2 * Math.PI * frequency) / rate);
  let before = 0;
  let last = 0;
  samples.forEach((sample, index) => {
    const window = 0.5 - 0.5 * Math.cos((2 * Math.PI * index) / (samples.length - 1));
    [before, last] = [last, sample * window + coefficient * last - before];
  });
  const power = last * last + before * before - coefficient * last * before;
  return (4 * Math.sqrt(Math.max(power, 0))) / samples.length;
}
