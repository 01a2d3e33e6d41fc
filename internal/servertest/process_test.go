package servertest_test

import (
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/servertest"
)

func TestServerThatFailsToStart(t *testing.T) {
	notReady := func() error { return errors.New("nobody listens") }
	tests := []struct {
		name, script, want string
		timeout            time.Duration
	}{
		{"ends", "echo what is wrong", "it ended\nwhat is wrong", time.Minute},
		{"never ready", "echo still loading; exec sleep 60", "not ready after 1s: nobody listens\nstill loading", time.Second},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := servertest.Start(exec.Command("sh", "-c", test.script), test.timeout, notReady)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

func TestMissingProgram(t *testing.T) {
	if _, err := servertest.FindProgram("no-such-program"); !errors.Is(err, servertest.ErrNotInstalled) {
		t.Errorf("error %v, want ErrNotInstalled", err)
	}
}
