/** What the API calls a bucket, in milliseconds. */
const UNITS: Record<string, number> = { m: 60_000, h: 3_600_000, d: 86_400_000 };

export const bucketMs = (bucket: string): number =>
  Number(bucket.slice(0, -1)) * (UNITS[bucket.slice(-1)] ?? 60_000);

export const sum = (values: readonly (number | null)[] | undefined): number =>
  (values ?? []).reduce<number>((total, value) => total + (value ?? 0), 0);
