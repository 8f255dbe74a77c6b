package federate

import (
	"errors"
	"testing"
)

func TestNoRulesTakeNoToken(t *testing.T) {
	f, err := New(nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []*Federation{f, nil} {
		id, err := f.Verify(t.Context(), "e30.e30.AA", SubjectToken)
		if id != nil || err == nil {
			t.Errorf("Verify = %v, %v; want an error", id, err)
		}
		f.Close()
	}
	var none *Federation
	if _, err := none.Verify(t.Context(), "", SubjectToken); !errors.Is(err, ErrNoRule) {
		t.Errorf("%v; want ErrNoRule", err)
	}
}
