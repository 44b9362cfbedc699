// Package page writes figures as one HTML file that needs nothing else: no script, no font, no picture from elsewhere. It
// reads well in the light and in the dark, on paper, and aloud.
package page

import (
	_ "embed"
	"html/template"
	"io"
	"slices"
)

// Page is what a file shows.
type Page struct {
	Title    string
	Verdict  Verdict
	Lead     []string // paragraphs below the title
	Tiles    []Tile
	Sections []Section
}

// Contents are the sections with an anchor, if there are enough of them to lead to.
func (p Page) Contents() []Section {
	sections := slices.DeleteFunc(slices.Clone(p.Sections), func(s Section) bool { return s.Anchor == "" })
	if len(sections) < 4 {
		return nil
	}
	return sections
}

// Verdict is what a page comes to, in a few words; none if Text is empty.
type Verdict struct {
	Good bool
	Text string
}

// Tile is one figure that matters most.
type Tile struct{ Figure, Label string }

// Section is a part of a page with a heading.
type Section struct {
	Title  string
	Anchor string // to lead to it, from elsewhere; none if empty
	Text   []string
	Charts []Chart
	Tables []Table
	Folds  []Fold
	Notes  []string // in small print
}

// Chart is a picture, which package chart drew, with its heading.
type Chart struct {
	Title string
	SVG   string
}

// Table has its first columns flush left, and all others flush right.
type Table struct {
	Caption string
	Head    []string
	Rows    [][]string
	Words   bool // all columns are flush left
	Labels  int  // how many columns are flush left, if more than one
}

// Fold is a part that opens on a click; it is open on paper.
type Fold struct {
	Title string
	Text  string // as it stands, in a fixed width; may be empty
	Table Table
}

//go:embed page.html
var source string

var form = template.Must(template.New("page").Funcs(template.FuncMap{
	"svg": func(s string) template.HTML { return template.HTML(s) }, // package chart escapes what is not its own
}).Parse(source))

// Write writes the page.
func (p Page) Write(w io.Writer) error { return form.Execute(w, p) }
