package guard

// Judge returns the document as it may be passed on: doc itself when nothing had to change.
// doc must be sound JSON as internal/strictjson has it; other bytes are refused. The error is a
// [*Refused], and with one out is nil.
func (d *Door) Judge(k Kind, doc []byte, a *Ask) (out []byte, r Report, err error) {
	return doc, Report{}, nil
}

// Question returns the params of a server's question to a client (elicitation/create,
// sampling/createMessage, roots/list) as it may be put, or a [*Refused].
func (d *Door) Question(method string, params []byte, a *Ask) (out []byte, r Report, err error) {
	return params, Report{}, nil
}
