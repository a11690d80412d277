// What the page carries: gzip of JSON in base64, put there by reports/html.cpp.

/** What an element carries, unpacked; null where the element holds nothing. */
export async function embeddedText(identity: string): Promise<string | null> {
  const base64 = document.getElementById(identity)?.textContent?.trim() ?? "";
  return base64 === "" ? null : unpacked(base64);
}

/** The value of that text. */
export async function embedded<T>(identity: string): Promise<T | null> {
  const text = await embeddedText(identity);
  return text === null ? null : (JSON.parse(text) as T);
}

/** `base64`: of gzip of UTF-8. Throws for anything else. */
export async function unpacked(base64: string): Promise<string> {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}
