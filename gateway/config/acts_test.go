package config

import (
	"bytes"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"sallyport/gateway/audit"
)

func TestActsAtTheSameTimeAreAllOnRecord(t *testing.T) {
	c := &Config{State: filepath.Join(t.TempDir(), "state")}
	if err := c.OpenState(); err != nil {
		t.Fatal(err)
	}
	const n = 12
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			if err := c.RecordAct(t.Context(), &audit.Record{Method: "token/mint"}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	segments, err := filepath.Glob(filepath.Join(c.State, actsDir, "*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, s := range segments {
		data, err := os.ReadFile(s)
		if err != nil {
			t.Fatal(err)
		}
		found += bytes.Count(data, []byte(`"method":"token/mint"`))
	}
	if found != n {
		t.Errorf("%d acts on record; want %d", found, n)
	}
}

func TestAnActThatCannotBeRecordedIsAnError(t *testing.T) {
	c := &Config{State: filepath.Join(t.TempDir(), "state")}
	if err := c.OpenState(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(c.State, actsDir), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.RecordAct(t.Context(), &audit.Record{Method: "token/mint"}); err == nil {
		t.Error("no error where the record is a file")
	}
}
