package agent_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"sallyport/gateway/agent"
)

func TestTheFirstRequestIsAnsweredWithWhatIsWrong(t *testing.T) {
	for in, want := range map[string]string{
		`{"jsonrpc":"2.0","method":"n"}` + "\n\n" + `{"jsonrpc":"2.0","id":"a","method":"initialize"}` + "\n": `{"jsonrpc":"2.0","id":"a","error":{"code":-32000,"message":"not \"here\""}}` + "\n",
		`{"jsonrpc":"2.0","id":7,"method":"initialize"}`:                                                      `{"jsonrpc":"2.0","id":7,"error":{"code":-32000,"message":"not \"here\""}}` + "\n",
		"no message\n": "",
	} {
		var out bytes.Buffer
		agent.Refuse(strings.NewReader(in), &out, errors.New(`not "here"`))
		if out.String() != want {
			t.Errorf("%s: %s, want %s", in, out.String(), want)
		}
	}
}
