package main

import (
	"bufio"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/lvsession/lvsession/bench/internal/figures"
)

const module = "github.com/lvsession/lvsession/"

// result is what go test printed of one benchmark: samples of each unit, one for each time that it ran.
type result struct {
	name    string // without Benchmark, and without the number of processors
	samples map[string]figures.Samples
}

// read makes a table of each package's benchmarks from what go test prints of them, in the format of golang.org/design/14313-benchmark-format.
// Lines that are none of it are passed over.
func read(r io.Reader) []figures.Table {
	var tables []figures.Table
	var pkg string
	var results []*result
	end := func() {
		if len(results) > 0 {
			tables = append(tables, tabulate(pkg, results))
		}
		results = nil
	}
	for lines := bufio.NewScanner(r); lines.Scan(); {
		if name, found := strings.CutPrefix(lines.Text(), "pkg: "); found {
			end()
			pkg = strings.TrimPrefix(name, module)
			continue
		}
		name, values, ok := line(lines.Text())
		if !ok {
			continue
		}
		i := slices.IndexFunc(results, func(r *result) bool { return r.name == name })
		if i < 0 {
			i = len(results)
			results = append(results, &result{name: name, samples: map[string]figures.Samples{}})
		}
		for _, v := range values {
			results[i].samples[v.unit] = append(results[i].samples[v.unit], v.number)
		}
	}
	end()
	return tables
}

type value struct {
	number float64
	unit   string
}

// processors is what go test puts behind a benchmark's name where GOMAXPROCS is not 1.
var processors = regexp.MustCompile(`-\d+$`)

// line reads one benchmark's line: its name, how often it was repeated, and values with units.
func line(text string) (name string, values []value, ok bool) {
	words := strings.Fields(text)
	if len(words) < 4 || len(words)%2 != 0 || !strings.HasPrefix(words[0], "Benchmark") {
		return "", nil, false
	}
	if _, err := strconv.ParseUint(words[1], 10, 64); err != nil {
		return "", nil, false
	}
	for i := 2; i < len(words); i += 2 {
		number, err := strconv.ParseFloat(words[i], 64)
		if err != nil || number != number || number > maxFigure || number < -maxFigure {
			return "", nil, false
		}
		values = append(values, value{number, words[i+1]})
	}
	return processors.ReplaceAllString(strings.TrimPrefix(words[0], "Benchmark"), ""), values, true
}

// maxFigure bounds what is taken for a figure: JSON has no infinity.
const maxFigure = 1e100

// tabulate has a row for each benchmark and a column for each unit.
func tabulate(pkg string, results []*result) figures.Table {
	t := figures.Table{Title: pkg, Labels: []string{"benchmark", "case"}, Figures: units(results)}
	for _, r := range results {
		name, kind, _ := strings.Cut(r.name, "/")
		var cells []any
		for _, unit := range t.Figures {
			if s := r.samples[unit]; s != nil {
				cells = append(cells, s)
			} else {
				cells = append(cells, nil)
			}
		}
		t.Add([]string{name, kind}, cells...)
	}
	return t
}

// units are all units of the results: the time first, then in alphabetical order.
func units(results []*result) []string {
	const time = "ns/op"
	var list []string
	for _, r := range results {
		for unit := range r.samples {
			if unit != time && !slices.Contains(list, unit) {
				list = append(list, unit)
			}
		}
	}
	slices.Sort(list)
	return append([]string{time}, list...)
}
