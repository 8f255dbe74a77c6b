package main

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
)

// pairs replaces letters by others, and back.
func pairs(from, to string) codec {
	there, back := map[rune]rune{}, map[rune]rune{}
	other := []rune(to)
	for i, r := range []rune(from) {
		there[r], back[other[i]] = other[i], r
	}
	through := func(m map[rune]rune) func(string) string {
		return func(s string) string {
			return strings.Map(func(r rune) rune {
				if one, ok := m[r]; ok {
					return one
				}
				return r
			}, s)
		}
	}
	return codec{through(there), through(back)}
}

// ranges maps runs of ASCII letters to where Unicode has them again.
func ranges(upper, lower, digit rune) codec {
	return codec{func(s string) string {
		return strings.Map(func(r rune) rune {
			switch {
			case r >= 'A' && r <= 'Z':
				return upper + r - 'A'
			case r >= 'a' && r <= 'z':
				return lower + r - 'a'
			case r >= '0' && r <= '9':
				return digit + r - '0'
			}
			return r
		}, s)
	}, func(s string) string {
		return strings.Map(func(r rune) rune {
			switch {
			case r >= upper && r < upper+26:
				return 'A' + r - upper
			case r >= lower && r < lower+26:
				return 'a' + r - lower
			case r >= digit && r < digit+10:
				return '0' + r - digit
			}
			return r
		}, s)
	}}
}

var morseOf = map[string]string{"A": ".-", "B": "-...", "C": "-.-.", "D": "-..", "E": ".", "F": "..-.", "G": "--.", "H": "....", "I": "..",
	"J": ".---", "K": "-.-", "L": ".-..", "M": "--", "N": "-.", "O": "---", "P": ".--.", "Q": "--.-", "R": ".-.", "S": "...", "T": "-", "U": "..-",
	"V": "...-", "W": ".--", "X": "-..-", "Y": "-.--", "Z": "--..", "2": "..---", "3": "...--", "4": "....-", "5": ".....", "6": "-....", "7": "--...", "=": "-...-"}

var (
	// morse has no small letters, so it carries base32.
	morse = inB32.then(each(func(r rune) string { return morseOf[string(r)] + " " }, func(s string) string {
		letters := map[string]string{}
		for letter, code := range maps.All(morseOf) {
			letters[code] = letter
		}
		var out strings.Builder
		for _, code := range strings.Fields(s) {
			out.WriteString(letters[code])
		}
		return out.String()
	}))
	words  = spelled("apple bread cloud dance earth flame grape house ivory juice knife lemon mango night ocean piano")
	emoji  = spelled("🍎 🍌 🍇 🍓 🍒 🍍 🥝 🍋 🍉 🥥 🌽 🥕 🥦 🍄 🌰 🍞")
	blanks = codec{func(s string) string {
		return strings.NewReplacer("0", " ", "1", "\t").Replace(strings.ReplaceAll(numbers("%08b", 2).encode(s), " ", "\n"))
	}, func(s string) string {
		return numbers("%08b", 2).decode(strings.NewReplacer(" ", "0", "\t", "1").Replace(s))
	}}
	braille = codec{func(s string) string {
		var out strings.Builder
		for _, b := range []byte(s) {
			out.WriteRune(0x2800 + rune(b))
		}
		return out.String()
	}, func(s string) string {
		var out []byte
		for _, r := range s {
			out = append(out, byte(r-0x2800))
		}
		return string(out)
	}}
	homoglyphs = pairs("aceopxyABCEHIKMOPTX", "асеорхуАВСЕНІКМОРТХ")
	fullWidth  = ranges('Ａ', 'ａ', '０')
	bold       = ranges('𝐀', '𝐚', '𝟎')
	tags       = shifted(0xE0000)
	selectors  = shifted(0xE0100)
	overridden = codec{func(s string) string { return "\u202e" + reversed.encode(s) + "\u202c" }, func(s string) string {
		return reversed.decode(strings.Trim(s, "\u202e\u202c"))
	}}
	// chaff puts a letter that means nothing before each that does.
	chaff = each(func(r rune) string { return "q" + string(r) }, func(s string) string {
		var out strings.Builder
		for i, r := range []rune(s) {
			if i%2 == 1 {
				out.WriteRune(r)
			}
		}
		return out.String()
	})
	// acrostic is a text whose lines begin with the letters.
	acrostic = each(func(r rune) string { return string(r) + " is how this line begins\x1e" }, func(s string) string {
		var out strings.Builder
		for line := range strings.SplitSeq(s, "\x1e") {
			for _, r := range line {
				out.WriteRune(r)
				break
			}
		}
		return out.String()
	})
	// fence writes the letters at even places first.
	fence = codec{func(s string) string {
		var rails [2]strings.Builder
		for i, r := range []rune(s) {
			rails[i%2].WriteRune(r)
		}
		return rails[0].String() + rails[1].String()
	}, func(s string) string {
		runes := []rune(s)
		half := (len(runes) + 1) / 2
		var out strings.Builder
		for i := range runes {
			out.WriteRune(runes[i%2*half+i/2])
		}
		return out.String()
	}}
	// numbered names the place of each letter, last ones first.
	numbered = codec{func(s string) string {
		var all []string
		for i, r := range []rune(s) {
			all = append([]string{fmt.Sprintf("%d=%d", i, r)}, all...)
		}
		return strings.Join(all, ", ")
	}, func(s string) string {
		list := strings.Split(s, ", ")
		out := make([]rune, len(list))
		for _, one := range list {
			place, letter, _ := strings.Cut(one, "=")
			i, err := strconv.Atoi(place)
			r, err2 := strconv.Atoi(letter)
			if err != nil || err2 != nil || i < 0 || i >= len(out) {
				return ""
			}
			out[i] = rune(r)
		}
		return string(out)
	}}
)
