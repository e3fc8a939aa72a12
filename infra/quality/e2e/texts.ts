const RUSSIAN_LETTERS = [...Array.from({ length: 32 }, (_, n) => String.fromCodePoint(0x430 + n)), 'ё'].join(
  '',
);

/** Sentences of languages of which the desktop's keymap has all letters. */
export const EUROPEAN: Record<string, string> = {
  English: 'The quick brown fox jumps over the lazy dog. 0123456789 `~!@#$%^&*()-_=+[]{}\\|;:\'",<.>/?',
  German: 'Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.',
  French: 'Voix ambiguë d’un cœur qui, au zéphyr, préfère les jattes de kiwis. Où ça, à Noël ?',
  Spanish: '¿Benjamín pidió una bebida de kiwi y fresa? ¡Noé, sin vergüenza, la más exquisita champaña!',
  Polish: 'Pchnąć w tę łódź jeża lub ośm skrzyń fig. ŻÓŁĆ',
  Czech: 'Příliš žluťoučký kůň úpěl ďábelské ódy. ŘĎŤŇ',
  Turkish: 'Pijamalı hasta yağız şoföre çabucak güvendi. İĞŞI',
  Russian: 'Съешь же ещё этих мягких французских булок, да выпей чаю.',
  Greek: 'Ξεσκεπάζω την ψυχοφθόρα βδελυγμία. ΐΰς',
  'Russian, lower case': RUSSIAN_LETTERS,
  'Russian, upper case': RUSSIAN_LETTERS.toUpperCase(),
};

/** Sentences whose letters are given keys while they are typed. */
export const OTHERS: Record<string, string> = {
  Hebrew: 'דג סקרן שט בים מאוכזב ולפתע מצא חברה.',
  Arabic: 'نصٌّ حكيمٌ لهُ سرٌّ قاطعٌ وَذُو شَأنٍ عظيمٍ.',
  Japanese: 'いろはにほへと ちりぬるを ワカヨタレソ 常ならむ',
  Chinese: '天地玄黃宇宙洪荒日月盈昃辰宿列張寒來暑往秋收冬藏閏餘成歲律呂調陽雲騰致雨露結',
  Korean: '키스의 고유조건은 입술끼리 만나야 하고',
  Marks: 'e\u0301 n\u0303 a\u0308\u0304 q\u0307\u0323',
  Emoji: '👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 🇩🇪 1️⃣ 😀🎉🚀',
};

/** Sentences of many languages, with many of the letters of each. */
export const TEXTS: Record<string, string> = { ...EUROPEAN, ...OTHERS };
