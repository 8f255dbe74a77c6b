package hidden

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Skeleton maps a text to a form in which texts that look alike are equal: without hidden
// characters, accents and case, with compatibility forms and letters of other scripts turned
// into the Latin letters that they are drawn like, and with the digits and pairs of letters that
// pass for a letter (0 o, 1 l I i, rn m, vv w). The form is for comparing and not for showing:
// many letters meet in one.
func Skeleton(s string) string {
	s, _ = Strip(s)
	s = norm.NFKD.String(s)
	var b strings.Builder
	b.Grow(len(s))
	for _, r := range s {
		if unicode.In(r, unicode.Mn, unicode.Me) {
			continue
		}
		if l, ok := alike[r]; ok {
			r = l
		} else if r = unicode.ToLower(r); alike[r] != 0 {
			r = alike[r]
		}
		b.WriteRune(r)
	}
	return pairs.Replace(b.String())
}

var pairs = strings.NewReplacer("rn", "m", "vv", "w")

// lookAlikes lists, for each letter of the skeleton, what is drawn like it.
var lookAlikes = map[rune]string{
	'a': "аαɑᴀΑАᎪꓮ⍺", 'b': "ЬВвʙΒᏴᏼꓐƄƅϐᗷ", 'c': "сϲᴄСϹⲥⲤᏟꓚ", 'd': "ԁɗᴅᎠᏧꓒԀ", 'e': "еєҽɛᴇЕΕᎬꓰεϵ℮", 'f': "ƒϝꞘꓝϜſẝꬵ",
	'g': "ɡɢցᶃԌԍᏀᏳꓖ", 'h': "һհᏂʜНнΗᎻꓧҺ", 'i': "1lIl|іιɩıӏІΙӀᎥᛁ𐌉ǀ׀ןꓲⵏӏℓ", 'j': "јϳʝᴊЈᎫꓙͿյ", 'k': "кκᴋКΚᏦꓗⲕⲔκ",
	'l': "", 'm': "мᴍМΜᎷꓟⲘϺ", 'n': "ոпɴΝꓠⲚռηո", 'o': "0оοσօᴏОΟՕᲿⲟⲞ๐໐०০੦૦୦௦౦೦൦᧐ꓳⵔסهഠഠⲞ၀", 'p': "рρᴘРΡᏢꓑⲣⲢϱƿ",
	'q': "ԛգզԚ", 'r': "гᴦʀᏒᖇꓣᎡⲅ", 's': "ѕꜱЅՏᏚᏕꓢƽ", 't': "тτᴛТΤᎢꓔⲦ⊤", 'u': "υսʋᴜцՍꓴ∪⋃", 'v': "νѵᴠѴᏙꓦ∨⋁ⴸ",
	'w': "ѡԝաᴡԜᎳꓪɯ", 'x': "хχ×ХΧꓫⲬⅹ᙮ⵝ", 'y': "уүγʏỿУΥҮᎩꓬⲨყ", 'z': "ᴢΖᏃꓜzʐ",
}

var alike = func() map[rune]rune {
	m := map[rune]rune{}
	for to, from := range lookAlikes {
		for _, r := range from {
			m[r] = to
			if lower := unicode.ToLower(r); m[lower] == 0 && lower > 0x7f {
				m[lower] = to
			}
		}
	}
	return m
}()
