package site

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"gatehouse/internal/apperr"
	"gatehouse/internal/browsertest"
)

const axeFile = "../../tools/node_modules/axe-core/axe.min.js"

// pictureDelay lets the browser paint before the pictures come, so that one without a size shifts what follows it.
const pictureDelay = 100 * time.Millisecond

// longName has no place to break, in neither script.
const longName = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft"

// contract is as much of one as Swagger UI needs to show an operation.
const contract = `{"openapi":"3.0.3","info":{"title":"Try","version":"1"},"paths":{"/try":{"get":{
	"operationId":"try","x-error-codes":[1001],"responses":{"200":{"description":"ok"}}}}}}`

// look is one way of looking at a page.
type look struct {
	page, path string
	width      int64
	scheme     string
	language   apperr.Language
}

func (l look) String() string {
	return fmt.Sprintf("%s-%d-%s-%s", l.page, l.width, l.scheme, l.language)
}

func looks(pages map[string]pageOf) []look {
	var all []look
	for page := range pages {
		for _, width := range []int64{360, 1280} {
			for _, scheme := range []string{"light", "dark"} {
				for _, language := range languages {
					all = append(all, look{page, "/" + string(language) + "/" + page, width, scheme, language})
				}
			}
		}
	}
	return all
}

type pageOf func(apperr.Language) ([]byte, error)

func browserPages(s *Site) map[string]pageOf {
	return map[string]pageOf{
		"home":      func(l apperr.Language) ([]byte, error) { return s.Home(l, Home{Nickname: "小明", Visits: 12}) },
		"home-long": func(l apperr.Language) ([]byte, error) { return s.Home(l, Home{Nickname: longName, Visits: 1234567}) },
		"login":     func(l apperr.Language) ([]byte, error) { return s.Login(l, Login{}) },
		"refused": func(l apperr.Language) ([]byte, error) {
			return s.Login(l, Login{Refusal: apperr.WrongPassword.Text().In(l)})
		},
		"switch":      func(l apperr.Language) ([]byte, error) { return s.Switch(l, Switch{"小明", "Ada", "ticket"}) },
		"switch-long": func(l apperr.Language) ([]byte, error) { return s.Switch(l, Switch{longName, longName, "ticket"}) },
		"about":       s.About,
		"docs":        s.Docs,
		"error": func(l apperr.Language) ([]byte, error) {
			return s.Error(l, Error{Status: 404, Message: apperr.PathNotFound.Text().In(l), RequestID: "0197c9a2-7d1e-7c55"})
		},
		"error-cause": func(l apperr.Language) ([]byte, error) {
			return s.Error(l, Error{500, apperr.Internal.Text().In(l), "0197c9a2-7d1e-7c55", "read user 7: " + longName + longName})
		},
	}
}

// serve starts a server of the site's pages, each under its policy.
func serve(t *testing.T, s *Site, pages map[string]pageOf) string {
	t.Helper()
	mux := http.NewServeMux()
	assets := s.Assets(http.NotFoundHandler())
	mux.HandleFunc(AssetsPath, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, ".svg") {
			time.Sleep(pictureDelay)
		}
		assets.ServeHTTP(w, r)
	})
	mux.HandleFunc("/openapi.yaml", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte(contract))
	})
	mux.HandleFunc("/{language}/{page}", func(w http.ResponseWriter, r *http.Request) {
		page, err := pages[r.PathValue("page")](apperr.Language(r.PathValue("language")))
		if err != nil {
			t.Errorf("render %s: %v", r.URL.Path, err)
		}
		policy := PagePolicy
		if r.PathValue("page") == "docs" {
			policy = DocsPolicy
		}
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write(page)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func TestInBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("browser tests are slow; run them without -short")
	}
	axe, err := os.ReadFile(axeFile)
	if err != nil {
		browsertest.Missing(t, "axe-core is not installed; run sh tools/setup.sh node")
	}
	s := newSite(t, Options{})
	pages := browserPages(s)
	address := serve(t, s, pages)
	tab := browsertest.Open(t)
	for _, look := range looks(pages) {
		t.Run(look.String(), func(t *testing.T) {
			checkLook(t, tab.In(t), address, string(axe), look)
		})
	}
}

// checkLook opens a page and asks of it what every page has to keep.
func checkLook(t *testing.T, tab *browsertest.Tab, address, axe string, look look) {
	_ = tab.Console() // what a look before this one left unread is no fault of this one
	tab.Do("open the page", chromedp.EmulateViewport(look.width, 780), firstVisit(look.scheme), chromedp.Navigate(address+look.path))
	if look.page == "docs" {
		tab.Do("wait for Swagger UI to show an operation", chromedp.WaitVisible(chromedp.CSS(".opblock")))
	}
	if overflow := browsertest.Evaluate[int](tab, scrollThrough); overflow > 0 {
		t.Errorf("the page scrolls sideways by %d pixels", overflow)
	}
	if shift := browsertest.Evaluate[float64](tab, layoutShift); shift > 0 {
		t.Errorf("the layout shifts by %v", shift)
	}
	tab.Screenshot("seen")
	tab.Do("load axe-core", chromedp.Evaluate[chromedp.Void](axe))
	if found := browsertest.Evaluate[[]string](tab, axeViolations); len(found) > 0 {
		t.Errorf("axe-core finds:\n%s", strings.Join(found, "\n"))
	}
	if messages := tab.Console(); len(messages) > 0 {
		t.Errorf("the console says:\n%s", strings.Join(messages, "\n"))
	}
}

const (
	// scrollThrough makes every picture load, and returns by how much the page is wider than the window.
	scrollThrough = `(async () => {
		const root = document.documentElement;
		for (let y = 0; y <= root.scrollHeight; y += 300) {
			window.scrollTo(0, y);
			await new Promise(done => setTimeout(done, 5));
		}
		await Promise.all([...document.images].map(image => image.decode()));
		window.scrollTo(0, 0);
		return root.scrollWidth - root.clientWidth;
	})()`

	// layoutShift leaves out what Swagger UI moves while it reads the contract.
	layoutShift = `new Promise(done => {
		let sum = 0;
		const ours = shift => shift.sources.some(({node}) => node && !node.parentElement?.closest("#swagger-ui"));
		new PerformanceObserver(list => list.getEntries().filter(ours).forEach(shift => { sum += shift.value; }))
			.observe({type: "layout-shift", buffered: true});
		setTimeout(() => done(sum), 50);
	})`

	// axeViolations leaves out what Swagger UI draws, which is not ours.
	axeViolations = `axe.run({exclude: ["#swagger-ui"]}).then(result => result.violations.flatMap(
		violation => violation.nodes.map(node => violation.id + ": " + node.html + "\n\t" + node.failureSummary)))`
)

// firstVisit makes the tab prefer a colour scheme and have nothing in its cache.
func firstVisit(scheme string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, network.SetCacheDisabled, network.SetCacheDisabledParams{CacheDisabled: true})
		if err != nil {
			return err
		}
		_, err = cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	})
}
