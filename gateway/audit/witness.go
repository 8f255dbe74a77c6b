package audit

func (v *verification) witnesses(keys []string) error { return nil }
