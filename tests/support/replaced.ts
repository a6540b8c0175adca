/** A text in which places are taken by others. @throws where one is not there */
export function replaced(text: string, places: Readonly<Record<string, string>>): string {
  let result = text;
  for (const [place, other] of Object.entries(places)) {
    if (!result.includes(place)) throw new Error(`there is no ${place} any more`);
    result = result.replaceAll(place, other);
  }
  return result;
}
