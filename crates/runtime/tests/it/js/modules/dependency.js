let count = 0;
count++;
export const evaluations = () => count;
export const main = import.meta.main;
