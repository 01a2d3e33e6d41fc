package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"
	"golang.org/x/term"

	"gatehouse/internal/account"
	"gatehouse/internal/apperr"
	"gatehouse/internal/config"
)

// manageUsers does one of the commands for users. It works on the database, whose servers follow within a second.
func manageUsers(ctx context.Context, command *config.Command, stdout, stderr io.Writer) (err error) {
	options := command.Options
	if command.Name == config.UserDelete && command.User.Delete.Now {
		options.DeletionGrace = 0
	}
	a, err := openExisting(ctx, options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	arguments := command.User
	switch command.Name {
	case config.UserShow:
		return a.showUser(ctx, arguments.Show.Phone, stdout)
	case config.UserDisable:
		return a.changeUser(ctx, arguments.Disable.Phone, a.accounts.Disable, stdout,
			"disabled, and logged out everywhere. Every login is refused until gatehouse user enable.")
	case config.UserEnable:
		return a.changeUser(ctx, arguments.Enable.Phone, a.accounts.Enable, stdout, "enabled, and may log in again.")
	case config.UserLogout:
		return a.changeUser(ctx, arguments.Logout.Phone, a.accounts.LogoutEverywhere, stdout,
			"logged out everywhere, and may log in again.")
	case config.UserDelete:
		return a.deleteUser(ctx, arguments.Delete.Phone, stdout)
	case config.UserSetPassword:
		return a.setPassword(ctx, arguments.SetPassword.Phone, os.Stdin, stdout, stderr)
	default:
		return a.listUsers(ctx, arguments.List.After, arguments.List.Limit, stdout, stderr)
	}
}

func (a *app) listUsers(ctx context.Context, after string, limit int, stdout, stderr io.Writer) error {
	users, err := a.accounts.List(ctx, after, limit+1)
	if err != nil {
		return err
	}
	more := len(users) > limit
	users = users[:min(len(users), limit)]
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tPHONE\tREGISTERED\tLAST LOGIN\tSTATE\tNICKNAME")
	for _, user := range users {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", user.ID, phoneOf(user), formatTime(&user.CreatedAt),
			formatTime(user.LastLoginAt), state(user), user.Nickname)
	}
	if more {
		fmt.Fprintf(stderr, "there are more: gatehouse user list --after %s\n", users[limit-1].ID)
	}
	return table.Flush()
}

func (a *app) showUser(ctx context.Context, phone string, stdout io.Writer) error {
	user, err := a.findUser(ctx, phone)
	if err != nil {
		return err
	}
	logins, err := a.sessions.List(ctx, user.ID)
	if err != nil {
		return err
	}
	password := "set"
	if !user.HasPassword {
		password = "none"
	}
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "id\t%s\nphone\t%s\nnickname\t%s\nregistered\t%s\nlast login\t%s\npassword\t%s\nstate\t%s\n",
		user.ID, phoneOf(user), user.Nickname, formatTime(&user.CreatedAt), formatTime(user.LastLoginAt), password, state(user))
	if err := table.Flush(); err != nil || len(logins) == 0 {
		return err
	}
	fmt.Fprintln(table, "\nSESSION\tSINCE\tLAST SEEN\tADDRESS\tDEVICE")
	for _, login := range logins {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n",
			login.ID, formatTime(&login.CreatedAt), formatTime(&login.LastSeenAt), login.Address, login.Device)
	}
	return table.Flush()
}

// changeUser does something to a user, and says what.
func (a *app) changeUser(ctx context.Context, phone string, change func(ctx context.Context, id string) error, stdout io.Writer, done string) error {
	user, err := a.findUser(ctx, phone)
	if err != nil {
		return err
	}
	if err := change(ctx, user.ID); err != nil {
		return plain(err)
	}
	_, err = fmt.Fprintf(stdout, "%s is %s\n", nameOf(user), done)
	return err
}

func (a *app) deleteUser(ctx context.Context, phone string, stdout io.Writer) error {
	user, err := a.findUser(ctx, phone)
	if err != nil {
		return err
	}
	erasedAt, err := a.accounts.ScheduleDeletion(ctx, user.ID)
	if err != nil {
		return plain(err)
	}
	what := fmt.Sprintf("erased on %s, unless the user logs in before.", formatTime(&erasedAt))
	if !erasedAt.After(time.Now()) {
		what = "erased within a minute by the server, or when one starts."
	}
	_, err = fmt.Fprintf(stdout, "%s is logged out everywhere, and will be %s\n", nameOf(user), what)
	return err
}

func (a *app) setPassword(ctx context.Context, phone string, stdin *os.File, stdout, stderr io.Writer) error {
	user, err := a.findUser(ctx, phone)
	if err != nil {
		return err
	}
	password, err := readPassword(ctx, stdin, stderr)
	if err != nil {
		return err
	}
	set := func(ctx context.Context, id string) error { return a.accounts.SetPassword(ctx, id, password) }
	return a.changeUser(ctx, user.ID, set, stdout, "given the new password, and logged out everywhere.")
}

// findUser returns the user of a phone number, however it is written, or of an id.
func (a *app) findUser(ctx context.Context, phoneOrID string) (account.User, error) {
	find, what := a.accounts.FindByPhone, "phone"
	if uuid.Validate(phoneOrID) == nil {
		find, what = a.accounts.FindByID, "id"
	}
	user, err := find(ctx, phoneOrID)
	switch {
	case apperr.Is(err, apperr.NotRegistered):
		return account.User{}, fmt.Errorf("no user has the %s %s", what, phoneOrID)
	case apperr.Is(err, apperr.InvalidInput):
		return account.User{}, fmt.Errorf("%q is not a valid phone number", phoneOrID)
	}
	return user, err
}

// plain returns a refusal in the words that users read.
func plain(err error) error {
	if refusal := apperr.From(err); refusal.Code != apperr.Internal {
		return errors.New(refusal.Code.Text().English)
	}
	return err
}

// readPassword reads a password twice from a terminal, without showing it, or else a line.
func readPassword(ctx context.Context, stdin *os.File, prompts io.Writer) (string, error) {
	if !term.IsTerminal(int(stdin.Fd())) {
		line, err := bufio.NewReader(io.LimitReader(stdin, 4096)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("read the password: %w", err)
		}
		return checkPassword(strings.TrimRight(line, "\r\n"))
	}
	password, err := promptPassword(ctx, stdin, prompts, "New password: ")
	if err != nil {
		return "", err
	}
	again, err := promptPassword(ctx, stdin, prompts, "The same again: ")
	if err != nil {
		return "", err
	}
	if password != again {
		return "", errors.New("the two passwords differ")
	}
	return checkPassword(password)
}

// promptPassword reads a line that is not shown. When ctx ends, what is typed then is shown again.
func promptPassword(ctx context.Context, terminal *os.File, prompts io.Writer, prompt string) (string, error) {
	descriptor := int(terminal.Fd())
	state, err := term.GetState(descriptor)
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	fmt.Fprint(prompts, prompt)
	defer fmt.Fprintln(prompts)
	var password []byte
	done := make(chan error, 1)
	go func() {
		var err error
		password, err = term.ReadPassword(descriptor)
		done <- err
	}()
	select {
	case err = <-done:
	case <-ctx.Done():
		return "", errors.Join(errors.New("interrupted"), term.Restore(descriptor, state))
	}
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	return string(password), nil
}

func checkPassword(password string) (string, error) {
	if length := len([]rune(password)); length < account.MinPassword || length > account.MaxPassword {
		return "", fmt.Errorf("a password has %d to %d characters", account.MinPassword, account.MaxPassword)
	}
	return password, nil
}

// nameOf is what the administrator calls a user: the phone, or the id of one who was left behind.
func nameOf(user account.User) string {
	return cmp.Or(user.Phone, user.ID)
}

func phoneOf(user account.User) string {
	if user.Phone == "" {
		return "-"
	}
	return user.Phone
}

func state(user account.User) string {
	switch {
	case user.EraseAt != nil:
		return "erased on " + formatTime(user.EraseAt)
	case user.DisabledAt != nil:
		return "disabled"
	default:
		return "active"
	}
}

func formatTime(t *time.Time) string {
	if t == nil {
		return "never"
	}
	return t.UTC().Format(time.RFC3339)
}
