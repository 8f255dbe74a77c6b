package catalog

// Replace returns the result with other bytes for its elements: with answers what stands for each,
// and nil leaves it out, as elements without a name are left out unasked. Nothing else changes, and
// where each element keeps its bytes the answer is Result itself.
func (p *Page) Replace(with func(i int) []byte) []byte {
	same := true
	elements := make([][]byte, len(p.Elements))
	for i, e := range p.Elements {
		old := e.Of(p.Result)
		if p.Names[i] != "" {
			elements[i] = with(i)
		}
		same = same && len(elements[i]) == len(old) && len(old) > 0 && string(elements[i]) == string(old)
	}
	if same {
		return p.Result
	}
	out := append(make([]byte, 0, len(p.Result)), p.Result[:p.Elements[0].Start]...)
	first := true
	for i, element := range elements {
		if element == nil {
			continue
		}
		if !first {
			out = append(out, p.Result[p.Elements[i-1].End:p.Elements[i].Start]...)
		}
		first = false
		out = append(out, element...)
	}
	return append(out, p.Result[p.Elements[len(p.Elements)-1].End:]...)
}
