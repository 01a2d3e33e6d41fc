// Command story plays the main job of the server with the Go client that oapi-codegen generates from
// the contract. Its argument is the server's URL.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"log"
	"mime/multipart"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path"

	"github.com/oapi-codegen/nullable"

	"gatehouse/testdata/sdk/go/gatehouse"
)

const (
	phone    = "18866668888"
	password = "demo123456"
)

func main() {
	if err := play(context.Background(), os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

func play(ctx context.Context, server string) error {
	client, err := gatehouse.NewClientWithResponses(server)
	if err != nil {
		return err
	}
	if err := register(ctx, client); err != nil {
		return fmt.Errorf("register: %w", err)
	}
	token, err := login(ctx, client)
	if err != nil {
		return fmt.Errorf("log in: %w", err)
	}
	if client, err = gatehouse.NewClientWithResponses(server, gatehouse.WithRequestEditorFn(token.authorize)); err != nil {
		return err
	}
	if err := me(ctx, client); err != nil {
		return fmt.Errorf("me: %w", err)
	}
	if err := profile(ctx, client); err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	if err := uploadAndLoad(ctx, client); err != nil {
		return fmt.Errorf("pictures: %w", err)
	}
	if err := openHomePage(ctx, client); err != nil {
		return fmt.Errorf("home page: %w", err)
	}
	return nil
}

// register registers twice. The second time is refused with a code that has a name.
func register(ctx context.Context, client *gatehouse.ClientWithResponses) error {
	registration := gatehouse.Registration{Phone: phone, Password: password, Code: "123456"}
	key := "5f1c7a0e-1d5b-4f6e-9b61-0f6f3c1f8a52"
	params := &gatehouse.RegisterUserParams{IdempotencyKey: &key}
	for range 2 { // as after an answer that got lost
		first, err := client.RegisterUserWithResponse(ctx, params, registration)
		if err != nil {
			return err
		}
		if done := first.JSON200; done == nil || done.Data.Msg != "ok" || done.Data.Code != gatehouse.SuccessCodeOk {
			return fmt.Errorf("answered %s: %s", first.Status(), first.Body)
		}
	}
	second, err := client.RegisterUserWithResponse(ctx, nil, registration)
	if err != nil {
		return err
	}
	if refused := second.JSON409; refused == nil || refused.Data.Code != gatehouse.ErrorCodeAlreadyRegistered {
		return fmt.Errorf("again: answered %s: %s", second.Status(), second.Body)
	}
	return nil
}

type accessToken string

func (t accessToken) authorize(_ context.Context, r *http.Request) error {
	r.Header.Set("Authorization", "Bearer "+string(t))
	return nil
}

func login(ctx context.Context, client *gatehouse.ClientWithResponses) (accessToken, error) {
	refused, err := client.LoginUserWithResponse(ctx, gatehouse.Credentials{Phone: phone, Password: ptr("wrong-password")})
	if err != nil {
		return "", err
	}
	if refused.JSON401 == nil || refused.JSON401.Data.Code != gatehouse.ErrorCodeWrongPassword {
		return "", fmt.Errorf("wrong password: answered %s: %s", refused.Status(), refused.Body)
	}
	answer, err := client.LoginUserWithResponse(ctx, gatehouse.Credentials{Phone: phone, Password: ptr(password), Device: ptr("Go")})
	if err != nil {
		return "", err
	}
	if answer.JSON200 == nil {
		return "", fmt.Errorf("answered %s: %s", answer.Status(), answer.Body)
	}
	refreshed, err := client.RefreshSessionWithResponse(ctx, nil, gatehouse.TokenRefresh{RefreshToken: answer.JSON200.Data.Msg.RefreshToken})
	if err != nil {
		return "", err
	}
	if refreshed.JSON200 == nil {
		return "", fmt.Errorf("refresh: answered %s: %s", refreshed.Status(), refreshed.Body)
	}
	login := refreshed.JSON200.Data.Msg
	if login.TokenType != gatehouse.LoginTokenTypeBearer || login.ExpiresIn <= 0 || login.User.LastLoginAt == nil {
		return "", fmt.Errorf("answered %+v", login)
	}
	return accessToken(login.AccessToken), nil
}

func me(ctx context.Context, client *gatehouse.ClientWithResponses) error {
	answer, err := client.GetCurrentUserWithResponse(ctx)
	if err != nil {
		return err
	}
	if answer.JSON200 == nil {
		return fmt.Errorf("answered %s: %s", answer.Status(), answer.Body)
	}
	if user := answer.JSON200.Data.Msg; user.Phone != "+86"+phone || user.CreatedAt.After(*user.LastLoginAt) {
		return fmt.Errorf("answered %+v", user)
	}
	return nil
}

// profile tells an empty text from one that is absent, and from none at all.
func profile(ctx context.Context, client *gatehouse.ClientWithResponses) error {
	answer, err := client.UpdateCurrentUserWithResponse(ctx, gatehouse.UserChanges{
		Nickname: nullable.NewNullableWithValue("小明"), Bio: nullable.NewNullableWithValue(""), Gender: nullable.NewNullNullable[gatehouse.UserChangesGender](),
	})
	if err != nil {
		return err
	}
	if answer.JSON200 == nil {
		return fmt.Errorf("answered %s: %s", answer.Status(), answer.Body)
	}
	if user := answer.JSON200.Data.Msg; user.Nickname != "小明" || user.Bio == nil || *user.Bio != "" || user.Gender != nil {
		return fmt.Errorf("answered %+v", user)
	}
	devices, err := client.ListSessionsWithResponse(ctx)
	if err != nil {
		return err
	}
	if devices.JSON200 == nil || devices.JSON200.Data.Msg.Sessions[0].Device != "Go" {
		return fmt.Errorf("answered %s: %s", devices.Status(), devices.Body)
	}
	return nil
}

func uploadAndLoad(ctx context.Context, client *gatehouse.ClientWithResponses) error {
	pictures := make([][]byte, 2)
	for i := range pictures {
		var err error
		if pictures[i], err = picture(40+i, 30); err != nil {
			return err
		}
	}
	images, err := upload(ctx, client, pictures)
	if err != nil {
		return err
	}
	if len(images) != len(pictures) {
		return fmt.Errorf("uploaded %d pictures, got %d", len(pictures), len(images))
	}
	for i, stored := range images {
		if stored.Width != int64(40+i) || stored.Height != 30 || stored.ContentType != "image/png" || stored.Bytes != int64(len(pictures[i])) {
			return fmt.Errorf("picture %d: %+v", i, stored)
		}
	}
	loaded, err := client.GetImageWithResponse(ctx, path.Base(images[1].URL), nil)
	if err != nil {
		return err
	}
	if loaded.StatusCode() != http.StatusOK || !bytes.Equal(loaded.Body, pictures[1]) {
		return fmt.Errorf("load: answered %s with %d bytes", loaded.Status(), len(loaded.Body))
	}
	return lookAfter(ctx, client, images[0])
}

// lookAfter hides a picture, lets somebody see it as an avatar all the same, and deletes it.
func lookAfter(ctx context.Context, client *gatehouse.ClientWithResponses, stored gatehouse.StoredImage) error {
	private := gatehouse.VisibilityPrivate
	changed, err := client.UpdateImageWithResponse(ctx, stored.ID, gatehouse.ImageChanges{Visibility: &private})
	if err != nil {
		return err
	}
	if changed.JSON200 == nil || changed.JSON200.Data.Msg.Visibility != gatehouse.VisibilityPrivate {
		return fmt.Errorf("hide: answered %s: %s", changed.Status(), changed.Body)
	}
	link, err := client.LinkImageWithResponse(ctx, stored.ID, gatehouse.LinkRequest{ExpiresIn: 60})
	if err != nil {
		return err
	}
	if link.JSON200 == nil {
		return fmt.Errorf("link: answered %s: %s", link.Status(), link.Body)
	}
	seen, err := http.Get(link.JSON200.Data.Msg.URL + "&preset=avatar&format=jpeg")
	if err != nil {
		return err
	}
	defer seen.Body.Close()
	if seen.StatusCode != http.StatusOK || seen.Header.Get("Content-Type") != "image/jpeg" {
		return fmt.Errorf("load by a link: answered %s, %s", seen.Status, seen.Header.Get("Content-Type"))
	}
	if deleted, err := client.DeleteImageWithResponse(ctx, stored.ID); err != nil || deleted.JSON200 == nil {
		return fmt.Errorf("delete: %w, %s", err, deleted.Status())
	}
	listed, err := client.ListImagesWithResponse(ctx, nil)
	if err != nil {
		return err
	}
	if listed.JSON200 == nil || len(listed.JSON200.Data.Msg.Images) != 1 {
		return fmt.Errorf("list: answered %s: %s", listed.Status(), listed.Body)
	}
	return nil
}

func picture(width, height int) ([]byte, error) {
	var b bytes.Buffer
	err := png.Encode(&b, image.NewGray(image.Rect(0, 0, width, height)))
	return b.Bytes(), err
}

func upload(ctx context.Context, client *gatehouse.ClientWithResponses, pictures [][]byte) ([]gatehouse.StoredImage, error) {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for i, content := range pictures {
		part, err := form.CreateFormFile("image", fmt.Sprintf("照片%d.png", i))
		if err != nil {
			return nil, err
		}
		if _, err := part.Write(content); err != nil {
			return nil, err
		}
	}
	if err := form.Close(); err != nil {
		return nil, err
	}
	answer, err := client.UploadImagesWithBodyWithResponse(ctx, nil, form.FormDataContentType(), &body)
	if err != nil {
		return nil, err
	}
	if answer.JSON200 == nil {
		return nil, fmt.Errorf("upload: answered %s: %s", answer.Status(), answer.Body)
	}
	return answer.JSON200.Data.Msg.Images, nil
}

// openHomePage does what an app's WebView does with a ticket.
func openHomePage(ctx context.Context, client *gatehouse.ClientWithResponses) error {
	answer, err := client.CreateHomeTicketWithResponse(ctx)
	if err != nil {
		return err
	}
	if answer.JSON200 == nil {
		return fmt.Errorf("ticket: answered %s: %s", answer.Status(), answer.Body)
	}
	cookies, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	page, err := (&http.Client{Jar: cookies}).Get(answer.JSON200.Data.Msg.HomeURL)
	if err != nil {
		return err
	}
	defer page.Body.Close()
	if page.StatusCode != http.StatusOK || page.Request.URL.RawQuery != "" {
		return errors.New("answered " + page.Status + " at " + page.Request.URL.Path)
	}
	return nil
}

func ptr[T any](value T) *T { return &value }
