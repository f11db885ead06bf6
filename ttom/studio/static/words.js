// The words of a prompt, as ttom/layout/english.py sees them: Chinese and Japanese characters are words of their own.
const UNSPACED = "\\u3040-\\u30ff\\u3400-\\u9fff";
const WORD = new RegExp(`[${UNSPACED}]|(?:(?![${UNSPACED}])[\\p{L}\\p{N}_])+`, "gu");
const IRREGULAR = {
  children: "child",
  people: "person",
  men: "man",
  women: "woman",
  mice: "mouse",
  geese: "goose",
  leaves: "leaf",
  wolves: "wolf",
  knives: "knife",
  shelves: "shelf",
  feet: "foot",
  teeth: "tooth",
  oxen: "ox",
  buses: "bus",
};
const SAME = new Set(
  "bus gas lens glass grass dress cactus walrus octopus tennis chess scissors sunglasses glasses".split(" "),
);

export const wordsOf = (text) =>
  [...text.matchAll(WORD)].map((match) => ({ start: match.index, end: match.index + match[0].length, text: match[0] }));

export function singular(word) {
  const lower = word.toLowerCase();
  if (IRREGULAR[lower]) return IRREGULAR[lower];
  if (SAME.has(lower) || lower.length < 3 || !lower.endsWith("s") || /(ss|us|is)$/.test(lower)) return lower;
  if (lower.endsWith("ies") && lower.length > 4 && lower !== "cookies" && lower !== "movies")
    return `${lower.slice(0, -3)}y`;
  if (/(ch|sh|x|ss|zz|o)es$/.test(lower) && !/(shoes|toes)$/.test(lower)) return lower.slice(0, -2);
  return lower.slice(0, -1);
}

// The noun that a phrase is about: one that the model knows, at the phrase's end, else the last word.
export function nounOf(phrase, nouns) {
  const words = wordsOf(phrase).map((word) => word.text.toLowerCase());
  if (!words.length) return "";
  const single = [...words.slice(0, -1), singular(words.at(-1))];
  for (let start = 0; start < single.length; start += 1) {
    for (const end of [single, words]) {
      const found = end.slice(start).join(" ");
      if (nouns?.includes(found)) return found;
    }
  }
  return single.at(-1);
}

// Indices of the first and last word of each place where the phrase occurs; the last word in singular or plural.
export function occurrences(words, phrase) {
  const wanted = wordsOf(phrase).map((word) => word.text.toLowerCase());
  if (!wanted.length) return [];
  const found = [];
  for (let at = 0; at + wanted.length <= words.length; at += 1) {
    const window = words.slice(at, at + wanted.length).map((word) => word.text.toLowerCase());
    const same = window.every((word, index) =>
      index < wanted.length - 1 ? word === wanted[index] : singular(word) === singular(wanted[index]),
    );
    if (same) found.push([at, at + wanted.length - 1]);
  }
  return found;
}

export const indices = ([first, last]) => Array.from({ length: last - first + 1 }, (_, at) => first + at);

// What a new box is probably for: the first noun of the prompt that the model knows and that has no box yet.
export function nextPhrase(prompt, objects, nouns) {
  const words = wordsOf(prompt),
    taken = new Set(objects.flatMap((item) => occurrences(words, item.phrase).flatMap(indices)));
  for (let first = 0; first < words.length; first += 1) {
    for (const last of [first + 1, first]) {
      if (last >= words.length || taken.has(first) || taken.has(last)) continue;
      const phrase = prompt.slice(words[first].start, words[last].end).toLowerCase();
      const single = [...phrase.split(" ").slice(0, -1), singular(phrase.split(" ").at(-1))].join(" ");
      if (nouns?.includes(single) || nouns?.includes(phrase)) return prompt.slice(words[first].start, words[last].end);
    }
  }
  return "";
}
