package guard

import (
	"bytes"
	"encoding/base64"
	"strings"

	"sallyport/internal/strictjson"
)

// signature recognises the first bytes of a file.
type signature func(b []byte) bool

func at(offset int, magics ...string) signature {
	return func(b []byte) bool {
		for _, m := range magics {
			if len(b) >= offset+len(m) && string(b[offset:offset+len(m)]) == m {
				return true
			}
		}
		return false
	}
}

func both(a, b signature) signature { return func(head []byte) bool { return a(head) && b(head) } }

func either(a, b signature) signature { return func(head []byte) bool { return a(head) || b(head) } }

var (
	riff = at(0, "RIFF")
	ftyp = at(4, "ftyp")
	jpeg = at(0, "\xff\xd8\xff")
	mp3  = either(at(0, "ID3"), func(b []byte) bool { return len(b) > 1 && b[0] == 0xff && b[1]&0xe0 == 0xe0 })
	wav  = both(riff, at(8, "WAVE"))
	ogg  = at(0, "OggS")
	flac = at(0, "fLaC")
	aac  = func(b []byte) bool { return len(b) > 1 && b[0] == 0xff && b[1]&0xf6 == 0xf0 }
	icon = at(0, "\x00\x00\x01\x00", "\x00\x00\x02\x00")
)

// signatures are the types that an image or a sound may claim to be. SVG is not among them: it
// is a document that loads others.
var signatures = map[string]signature{
	"image/png": at(0, "\x89PNG\r\n\x1a\n"), "image/jpeg": jpeg, "image/jpg": jpeg, "image/pjpeg": jpeg, "image/gif": at(0, "GIF87a", "GIF89a"),
	"image/webp": both(riff, at(8, "WEBP")), "image/bmp": at(0, "BM"), "image/x-ms-bmp": at(0, "BM"), "image/tiff": at(0, "II*\x00", "MM\x00*"),
	"image/avif": both(ftyp, at(8, "avif", "avis", "mif1")), "image/heic": both(ftyp, at(8, "heic", "heix", "mif1", "msf1")), "image/heif": both(ftyp, at(8, "heic", "heix", "mif1", "msf1")),
	"image/x-icon": icon, "image/vnd.microsoft.icon": icon,
	"audio/mpeg": mp3, "audio/mp3": mp3, "audio/wav": wav, "audio/x-wav": wav, "audio/wave": wav, "audio/vnd.wave": wav, "audio/ogg": ogg, "audio/opus": ogg,
	"audio/flac": flac, "audio/x-flac": flac, "audio/mp4": ftyp, "audio/m4a": ftyp, "audio/x-m4a": ftyp, "audio/aac": aac, "audio/webm": at(0, "\x1aE\xdf\xa3"),
	"audio/aiff": both(at(0, "FORM"), at(8, "AIFF", "AIFC")), "audio/x-aiff": both(at(0, "FORM"), at(8, "AIFF", "AIFC")), "audio/midi": at(0, "MThd"), "audio/amr": at(0, "#!AMR"),
}

// media holds the base64 in a member to what the object at i claims it to be. A blob may be of
// any type, but is not to be an image or a sound that it is not.
func (w *walk) media(i int, kind, member string) bool {
	dataAt, ok := w.find(i, member)
	if !ok || w.at(dataAt) != '"' {
		w.fail(i, publicForm, "%s without a string %q", kind, member)
		return false
	}
	claim := ""
	if at, ok := w.find(i, "mimeType"); ok {
		claim = strings.ToLower(w.word(at))
		claim, _, _ = strings.Cut(claim, ";")
		claim = strings.TrimSpace(claim)
	}
	end, _ := w.scan(dataAt)
	head, ok := decodes(w.doc[dataAt:end])
	if !ok {
		w.fail(dataAt, publicMedia, "%s that is no base64", kind)
		return false
	}
	is, known := signatures[claim]
	switch {
	case kind == kindBlob && !known && !strings.HasPrefix(claim, "image/") && !strings.HasPrefix(claim, "audio/"):
		return true
	case !known || kind != kindBlob && !strings.HasPrefix(claim, kind+"/"):
		w.fail(i, publicMedia, "%s of a type that is not taken (%s)", kind, shownType(claim))
		return false
	case !is(head):
		w.fail(dataAt, publicMedia, "%s that claims to be %s and is not,", kind, claim)
		return false
	}
	return true
}

// shownType is a claimed type where it looks like one.
func shownType(claim string) string {
	if claim == "" {
		return "none is given"
	}
	if len(claim) > 40 || strings.Trim(claim, "abcdefghijklmnopqrstuvwxyz0123456789/.+-") != "" {
		return "not one that can be shown"
	}
	return claim
}

// headBytes is what of a file its signature needs.
const headBytes = 64

// decodes reports whether the quoted string raw is base64 from end to end, and returns its
// first bytes. Padding is required, and line ends are not taken.
func decodes(raw []byte) (head []byte, ok bool) {
	body := raw[1 : len(raw)-1]
	if bytes.IndexByte(body, '\\') >= 0 {
		s, err := strictjson.String(raw) // "\/" is a slash
		if err != nil {
			return nil, false
		}
		body = []byte(s)
	}
	if len(body)%4 != 0 {
		return nil, false
	}
	for len(body) > 0 && body[len(body)-1] == '=' && len(body)%4 != 2 {
		body = body[:len(body)-1]
	}
	for _, c := range body {
		if !base64Byte[c] {
			return nil, false
		}
	}
	head = make([]byte, headBytes)
	n, _ := base64.RawStdEncoding.Decode(head, body[:min(len(body), headBytes*4/3/4*4)])
	return head[:n], true
}

var base64Byte = func() (t [256]bool) {
	for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/" {
		t[c] = true
	}
	return t
}()
