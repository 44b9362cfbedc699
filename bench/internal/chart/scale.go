package chart

import (
	"math"
	"strconv"
)

// Scale is how an axis maps its figures.
type Scale int

// The scales.
const (
	Linear Scale = iota // from zero, where no figure is below it
	Log                 // decades; for figures above zero
	Nines               // percentiles, 0 to 100: 90, 99, 99.9 … have the same distance
)

const (
	maxTicks = 12
	most     = 1e15 // figures beyond it are not shown, nor are those below least on a logarithmic axis
	least    = 1e-9
	maxNines = 7
)

// shows tells whether the scale has a place for a figure.
func (s Scale) shows(v float64) bool {
	switch s {
	case Log:
		return v >= least && v <= most
	case Nines:
		return v >= 0 && v <= 100
	}
	return v >= -most && v <= most // false for NaN
}

// place is where on an even axis a figure stands.
func (s Scale) place(v float64) float64 {
	switch s {
	case Log:
		return math.Log10(v)
	case Nines:
		return min(maxNines, max(0, -math.Log10(1-v/100)))
	}
	return v
}

// label is the text of a tick.
func (s Scale) label(v float64) string {
	if s == Nines {
		return strconv.FormatFloat(v, 'f', -1, 64) + "%"
	}
	for _, unit := range []struct {
		name string
		size float64
	}{{"T", 1e12}, {"G", 1e9}, {"M", 1e6}, {"k", 1e3}} {
		if math.Abs(v) >= unit.size*10 || math.Abs(v) >= unit.size && unit.size > 1e3 {
			return strconv.FormatFloat(v/unit.size, 'g', 6, 64) + unit.name
		}
	}
	return strconv.FormatFloat(v, 'g', 6, 64)
}

// span is an axis that is laid out: figures from min to max, on pixels from begin to end.
type span struct {
	scale      Scale
	min, max   float64
	begin, end float64
}

// newSpan returns an axis that holds all the figures, which the scale shows and of which there is at least one.
func newSpan(s Scale, figures []float64, begin, end float64) span {
	p := span{s, figures[0], figures[0], begin, end}
	for _, f := range figures {
		p.min, p.max = min(p.min, f), max(p.max, f)
	}
	switch s {
	case Log:
		p.min, p.max = math.Pow(10, math.Floor(math.Log10(p.min))), math.Pow(10, math.Ceil(math.Log10(p.max)))
		if p.min >= p.max {
			p.max = p.min * 10
		}
	case Nines:
		p.min = 0
		p.max = max(p.max, 90)
	default:
		p.min = min(p.min, 0)
		p.max = max(p.max, 0)
		if p.max-p.min < least {
			p.max = p.min + 1
		}
	}
	return p
}

// at returns the pixel of a figure.
func (p span) at(v float64) float64 {
	low, high := p.scale.place(p.min), p.scale.place(p.max)
	return p.begin + (p.scale.place(v)-low)/(high-low)*(p.end-p.begin)
}

// ticks returns round figures within the axis, at most maxTicks of them.
func (p span) ticks() []float64 {
	switch p.scale {
	case Log:
		return p.decades()
	case Nines:
		return p.nines()
	}
	raw := (p.max - p.min) / 6
	step := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, by := range []float64{2, 2.5, 2} { // 1, 2, 5, 10
		if step >= raw {
			break
		}
		step *= by
	}
	var list []float64
	first := math.Ceil(p.min / step)
	for i := range maxTicks {
		v := (first + float64(i)) * step
		if v > p.max+step*1e-6 {
			break
		}
		list = append(list, v)
	}
	return list
}

func (p span) decades() []float64 {
	low, high := int(math.Round(math.Log10(p.min))), int(math.Round(math.Log10(p.max)))
	step := (high-low)/maxTicks + 1
	var list []float64
	for e := low; e <= high && len(list) < maxTicks; e += step {
		list = append(list, math.Pow(10, float64(e)))
		if high-low <= 2 && e < high { // few decades: their middles help
			list = append(list, 3*math.Pow(10, float64(e)))
		}
	}
	return list
}

func (p span) nines() []float64 {
	var list []float64
	for _, v := range []float64{0, 50, 90, 99, 99.9, 99.99, 99.999, 99.9999, 99.99999} {
		if v <= p.max {
			list = append(list, v)
		}
	}
	return list
}
