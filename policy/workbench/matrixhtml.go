package workbench

import (
	_ "embed"
	"html/template"
	"io"
	"strings"
)

//go:embed matrix.html
var matrixPage string

var matrixTemplate = template.Must(template.New("matrix").Parse(matrixPage))

type pageCell struct {
	Access Access
	Number int
}

type pageText struct {
	Number int
	Lines  []string
}

type pageRow struct {
	Tool  string
	Cells []pageCell
}

// HTML writes one page that needs nothing beside itself: it asks no network, and its one script,
// which filters the rows, is not needed to read it.
func (m *Matrix) HTML(w io.Writer) error {
	texts, number := m.conditions()
	page := struct {
		Revision string
		Roles    []string
		Rows     []pageRow
		Texts    []pageText
	}{m.Revision, allShown(m.Roles), nil, nil}
	for i, lines := range texts {
		page.Texts = append(page.Texts, pageText{i + 1, allShown(lines)})
	}
	for i, tool := range m.Tools {
		row := pageRow{Tool: strings.Map(shown, tool)}
		for j := range m.Roles {
			c := m.Cell(i, j)
			row.Cells = append(row.Cells, pageCell{c.Access, number[c]})
		}
		page.Rows = append(page.Rows, row)
	}
	return matrixTemplate.Execute(w, page)
}

func allShown(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = strings.Map(shown, s)
	}
	return out
}
