package mint

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/identity"
	"sallyport/identity/jose"
)

func keyFiles(t testing.TB, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.jwk"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestFirstKeyIsMadeAndPrivate(t *testing.T) {
	dir := keyDir(t)
	keys := open(t, dir, nil)
	files := keyFiles(t, dir)
	if len(files) != 1 || len(keys.List()) != 1 || keys.List()[0].State != KeyActive || filepath.Base(files[0]) != keys.List()[0].ID+".jwk" {
		t.Fatalf("files %v, keys %v; want one active key", files, keys.List())
	}
	for path, want := range map[string]fs.FileMode{files[0]: 0o600, dir: 0o700, filepath.Dir(dir): 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: mode %v, %v; want %v", path, info.Mode().Perm(), err, want)
		}
	}
	if again := open(t, dir, nil); again.List()[0] != keys.List()[0] {
		t.Errorf("opened again: %v; want %v", again.List(), keys.List())
	}
}

func TestWiderModesAreRefusedWithTheCure(t *testing.T) {
	dir := keyDir(t)
	open(t, dir, nil)
	file := keyFiles(t, dir)[0]
	for _, tt := range []struct {
		path     string
		mode, ok fs.FileMode
		want     string
	}{
		{file, 0o640, 0o600, file + " has mode 0640, so others could use what it holds; run: chmod 0600 " + file},
		{file, 0o604, 0o600, file + " has mode 0604, so others could use what it holds; run: chmod 0600 " + file},
		{dir, 0o710, 0o700, dir + " has mode 0710, so others could use what it holds; run: chmod 0700 " + dir},
		{dir, 0o755, 0o700, dir + " has mode 0755, so others could use what it holds; run: chmod 0700 " + dir},
	} {
		if err := os.Chmod(tt.path, tt.mode); err != nil {
			t.Fatal(err)
		}
		if keys, err := OpenKeyring(dir, nil); keys != nil || err == nil || err.Error() != tt.want {
			t.Errorf("mode %o: %v\nwant %s", tt.mode, err, tt.want)
		}
		if err := os.Chmod(tt.path, tt.ok); err != nil {
			t.Fatal(err)
		}
	}
}

func TestKeyFilesThatCannotBeUsedAreRefusedWithAReason(t *testing.T) {
	good := string(jose.NewEd25519(make([]byte, 32)).Private())
	name := jose.NewEd25519(make([]byte, 32)).Kid
	for _, tt := range []struct{ what, name, doc, want string }{
		{"empty", name, "", "read JWK: no JSON value, at byte 0"},
		{"torn", name, good[:40], "read JWK: the JSON value ends too early, at byte 40"},
		{"public", name, string(jose.NewEd25519(make([]byte, 32)).Public()), "not a private Ed25519 key"},
		{"RSA", name, `{"kty":"RSA"}`, "not an Ed25519 key"},
		{"another name", "signing", good, "the kid and the file's name must be the key's thumbprint, " + name},
		{"another kid", name, strings.Replace(good, name, "x", 1), "the kid and the file's name must be the key's thumbprint, " + name},
		{"no date", name, good[:len(good)-1] + `,"iat":"today"}`, "iat is not a whole number of seconds"},
		{"too long", name, good + strings.Repeat(" ", maxKeyFile), " is longer than 4096 bytes; that is no key"},
	} {
		dir := keyDir(t)
		if err := PrivateDir(dir); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, tt.name+".jwk")
		if err := WritePrivate(path, []byte(tt.doc)); err != nil {
			t.Fatal(err)
		}
		_, err := OpenKeyring(dir, nil)
		if err == nil || !strings.HasPrefix(err.Error(), path) || !strings.HasSuffix(err.Error(), tt.want) {
			t.Errorf("%s: %v\nwant %s…%s", tt.what, err, path, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), `"d"`) {
			t.Errorf("%s: the error shows the key", tt.what)
		}
		if files := keyFiles(t, dir); len(files) != 1 {
			t.Errorf("%s: files = %v; want no key made beside it", tt.what, files)
		}
	}
}

func TestStateThatCannotBeWrittenIsRefusedWithAReason(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenKeyring(filepath.Join(file, "keys"), nil); err == nil || !strings.HasPrefix(err.Error(), "make key directory: ") {
		t.Errorf("a file in the way: %v", err)
	}
}

func TestRotationOverlaps(t *testing.T) {
	c := newClock()
	dir := keyDir(t)
	keys := open(t, dir, c.now)
	i, v := issuer(keys, c.now), verifier(t, keys, c.now)
	states := func(want ...KeyState) {
		t.Helper()
		got := keys.List()
		ok := len(got) == len(want) && len(keys.Keys().ByID) == len(want) && len(keyFiles(t, dir)) == len(want)
		for n := range want {
			ok = ok && got[n].State == want[n]
		}
		if !ok {
			t.Errorf("keys %v, %d files; want %v", got, len(keyFiles(t, dir)), want)
		}
	}
	states(KeyActive)
	first := keys.List()[0].ID

	c.pass(rotateAfter - time.Second)
	reload(t, keys)
	states(KeyActive)
	c.pass(time.Second)
	reload(t, keys)
	states(KeyActive, KeyNext) // published, does not sign

	if err := keys.Rotate(); err != nil {
		t.Fatal(err)
	}
	states(KeyActive, KeyNext) // one waits already

	c.pass(publishAhead - time.Second)
	old := mustMint(t, i, reader(identity.MaxLifetime))
	c.pass(time.Second)
	states(KeyRetiring, KeyActive)
	fresh := mustMint(t, i, reader(identity.MaxLifetime))
	if kid := keys.List()[1].ID; kid == first || !strings.Contains(Inspect(fresh, v, keys, c.now()).String(), kid) {
		t.Error("the new key does not sign when its time has come")
	}
	epoch := keys.Keys().Epoch
	c.pass(identity.MaxLifetime - 2*time.Second)
	reload(t, keys)
	for _, tok := range []string{old, fresh} {
		if _, err := v.VerifyToken(tok); err != nil {
			t.Errorf("in the last second of the old key's last token: %v", err)
		}
	}
	c.pass(time.Minute + time.Second)
	reload(t, keys)
	states(KeyRetiring, KeyActive)
	c.pass(time.Second)
	reload(t, keys)
	states(KeyActive)
	if _, still := keys.Keys().ByID[first]; still || keys.Keys().Epoch == epoch {
		t.Error("the old key did not leave with a new epoch")
	}
	if _, err := os.Stat(keyPath(dir, first)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the old key's file: %v; want it deleted", err)
	}
}

func reload(t testing.TB, keys *Keyring) {
	t.Helper()
	if err := keys.Reload(); err != nil {
		t.Fatal(err)
	}
}

// A server and `token mint` beside it: what either signs, the other accepts.
func TestProcessesShareKeys(t *testing.T) {
	c := newClock()
	dir := keyDir(t)
	server, command := open(t, dir, c.now), open(t, dir, c.now)
	v := verifier(t, server, c.now)
	if _, err := v.VerifyToken(mustMint(t, issuer(command, c.now), reader(time.Minute))); err != nil {
		t.Errorf("with the first key: %v", err)
	}
	if err := command.Rotate(); err != nil {
		t.Fatal(err)
	}
	if _, err := v.VerifyToken(mustMint(t, issuer(command, c.now), reader(time.Minute))); err != nil {
		t.Errorf("just after a rotation of which the server has not heard: %v", err)
	}
	c.pass(publishAhead)
	reload(t, server)
	if _, err := v.VerifyToken(mustMint(t, issuer(command, c.now), reader(time.Minute))); err != nil {
		t.Errorf("with the next key: %v", err)
	}
	if n := len(server.List()); n != 2 || server.List()[1].State != KeyActive {
		t.Errorf("the server's keys: %v; want the one made by the command active", server.List())
	}
}

func TestFirstKeyIsMadeOnce(t *testing.T) {
	dir := keyDir(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := OpenKeyring(dir, nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if files := keyFiles(t, dir); len(files) != 1 {
		t.Errorf("files = %v; want one", files)
	}
}

func TestDeletedKeyIsTrustedNoMore(t *testing.T) {
	c := newClock()
	dir := keyDir(t)
	keys := open(t, dir, c.now)
	i, v := issuer(keys, c.now), verifier(t, keys, c.now)
	tok := mustMint(t, i, reader(time.Minute))
	if _, err := v.VerifyToken(tok); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(keyFiles(t, dir)[0]); err != nil {
		t.Fatal(err)
	}
	reload(t, keys)
	if who, err := v.VerifyToken(tok); who != nil || !errors.Is(err, identity.ErrUnknownKey) {
		t.Errorf("a token of a deleted key: %v, %v; want ErrUnknownKey", who, err)
	}
	if _, err := v.VerifyToken(mustMint(t, i, reader(time.Minute))); err != nil {
		t.Errorf("a token of the key made in its place: %v", err)
	}
}

func TestFailedReloadKeepsTheKeys(t *testing.T) {
	dir := keyDir(t)
	keys := open(t, dir, nil)
	before := keys.Keys()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := keys.Reload(); err == nil || !strings.Contains(err.Error(), "run: chmod 0700") {
		t.Errorf("Reload of a wider directory: %v", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	lock := filepath.Join(dir, ".lock")
	if err := errors.Join(os.Remove(lock), os.Mkdir(lock, 0o700)); err != nil {
		t.Fatal(err)
	}
	if err := keys.Reload(); err == nil || !strings.HasPrefix(err.Error(), "lock "+dir) {
		t.Errorf("Reload without the lock: %v", err)
	}
	if keys.Keys() != before {
		t.Error("the keys changed with a failed reload")
	}
}

func TestWatchReloadsUntilItsContextEnds(t *testing.T) {
	dir := keyDir(t)
	synctest.Test(t, func(t *testing.T) {
		keys := open(t, dir, time.Now)
		failed := make(chan error, 10)
		done := make(chan struct{})
		ctx, cancel := cancelable(t)
		go func() {
			defer close(done)
			keys.Watch(ctx, 10*time.Minute, func(err error) { failed <- err })
		}()
		if err := os.WriteFile(filepath.Join(dir, "x.jwk"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(15 * time.Minute) // of the bubble's clock
		if err := <-failed; !strings.Contains(err.Error(), "x.jwk: read JWK") {
			t.Errorf("reported %v", err)
		}
		if err := os.Remove(filepath.Join(dir, "x.jwk")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(rotateAfter)
		cancel()
		<-done
		if n := len(keys.List()); n != 2 {
			t.Errorf("%d keys after a day of watching; want the next one made", n)
		}
	})
}
