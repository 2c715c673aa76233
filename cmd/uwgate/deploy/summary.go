package deploy

import "fmt"

// A Summary is about all pages. Its JSON form is read by scripts: names stay.
type Summary struct {
	Pages       int             `json:"pages"` // that were compared
	Outcomes    map[Outcome]int `json:"outcomes"`
	Unstored    map[string]int  `json:"not_stored"` // pages that would not be stored, by reason
	Results     []*Result       `json:"results"`    // of pages that are not the same, or would not be stored
	Interrupted bool            `json:"interrupted"`
	Unknown     int             `json:"unknown"` // stored pages that were left out: no stranger's request has their key
}

func summarize(results []*Result, interrupted bool) *Summary {
	s := &Summary{Outcomes: map[Outcome]int{}, Unstored: map[string]int{}, Results: []*Result{}, Interrupted: interrupted}
	for _, r := range results {
		s.Outcomes[r.Outcome]++
		if r.Outcome != Gone {
			s.Pages++
		}
		if r.Unstored != "" {
			s.Unstored[r.Unstored]++
		}
		if r.Outcome != Same || r.Unstored != "" {
			s.Results = append(s.Results, r)
		}
	}
	return s
}

// Err returns why the new workers should not get the traffic: pages that fail, with
// changedFails also those that have changed, or that nothing was compared.
func (s *Summary) Err(changedFails bool) error {
	failing, changed := s.Outcomes[Failing], s.Outcomes[Changed]
	switch {
	case failing > 0:
		return fmt.Errorf("%d of %d pages fail with the new workers", failing, s.Pages)
	case s.Interrupted:
		return fmt.Errorf("interrupted after %d pages", s.Pages)
	case s.Pages == 0:
		return fmt.Errorf("nothing was compared")
	case changed > 0 && changedFails:
		return fmt.Errorf("%d of %d pages change with the new workers", changed, s.Pages)
	}
	return nil
}
