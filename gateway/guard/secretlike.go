package guard

import (
	"strings"
	"unicode"

	"sallyport/gateway/guard/hidden"
)

// asksSecret reports whether the name or the label of a field is one of a secret, in the
// spellings that we know: it folds case, look-alikes, hidden characters, digits for letters and
// what stands between words. It is a list, and so can be got around with other words; what it
// catches is the plain question, which a person answers without a thought.
func asksSecret(label string) bool {
	for _, words := range spellings(label) {
		joined := strings.Join(words, "")
		for _, phrase := range secretPhrases {
			if strings.Contains(joined, phrase) {
				return true
			}
		}
		for _, word := range words {
			if secretWords[word] {
				return true
			}
		}
	}
	return false
}

// spellings returns the words of a label, with digits read as the letters that they stand for
// and with digits left out.
func spellings(label string) [2][]string {
	var apart strings.Builder // camelCase
	last := ' '
	for _, r := range label {
		if unicode.IsUpper(r) && unicode.IsLower(last) {
			apart.WriteByte(' ')
		}
		apart.WriteRune(r)
		last = r
	}
	folded := hidden.Skeleton(apart.String())
	split := func(s string) []string {
		return strings.FieldsFunc(s, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	}
	return [2][]string{split(letters.Replace(folded)), split(digits.Replace(folded))}
}

var (
	letters = strings.NewReplacer("4", "a", "3", "e", "5", "s", "7", "t", "@", "a", "$", "s")
	digits  = strings.NewReplacer("2", " ", "3", " ", "4", " ", "5", " ", "6", " ", "7", " ", "8", " ", "9", " ")
)

// secretPhrases are found wherever they stand, also with spaces and signs in them.
var secretPhrases = folds(
	"password", "passwd", "passcode", "passphrase", "passwort", "kennwort", "contraseña", "mot de passe", "wachtwoord", "lösenord", "palavra passe",
	"пароль", "密码", "密碼", "口令", "パスワード", "暗証番号", "비밀번호", "كلمة المرور", "סיסמה",
	"api key", "access key", "secret key", "private key", "ssh key", "signing key", "encryption key", "client secret", "access token", "bearer token", "auth token", "session token", "session cookie",
	"seed phrase", "recovery phrase", "recovery code", "backup code", "mnemonic phrase", "wallet phrase", "one time code", "one time pass", "verification code", "security code", "auth code", "authentication code", "authenticator code", "login code", "pin code", "pin number",
	"credential", "credit card", "debit card", "card number", "card no", "account number", "account no", "routing number", "sort code", "social security", "national insurance number", "tax id number", "passport number", "mother's maiden name",
)

// secretWords are found as whole words.
var secretWords = func() map[string]bool {
	m := map[string]bool{}
	for _, w := range folds("secret", "secrets", "token", "tokens", "pwd", "pw", "pass", "pin", "otp", "totp", "cvv", "cvv2", "cvc", "cvc2", "csc", "ssn", "iban", "2fa", "mfa", "senha", "hasło", "parola", "şifre", "geheimzahl", "mnemonic", "apikey", "jwt") {
		m[w] = true
	}
	return m
}()

// folds are the words as spellings would return them, without spaces.
func folds(phrases ...string) []string {
	var out []string
	for _, p := range phrases {
		out = append(out, strings.Join(spellings(p)[0], ""))
	}
	return out
}
