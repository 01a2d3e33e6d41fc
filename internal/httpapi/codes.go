package httpapi

import (
	"cmp"
	"context"
	"slices"

	"gatehouse/internal/api"
	"gatehouse/internal/apperr"
	"gatehouse/internal/verify"
)

func (s *server) SendCode(ctx context.Context, request api.SendCodeRequestObject) (api.SendCodeResponseObject, error) {
	body := cmp.Or(request.JSONBody, request.FormdataBody)
	phone, err := verify.ParsePhone(body.Phone)
	if err != nil {
		return nil, err
	}
	purpose := verify.Purpose(body.Purpose)
	if err := s.checkReceiver(ctx, phone, purpose); err != nil {
		return nil, err
	}
	sent, err := s.Codes.Send(ctx, verify.Request{
		Phone: phone, Purpose: purpose, Client: callFrom(ctx).client, Captcha: value(body.Captcha),
	})
	if err != nil {
		return nil, err
	}
	return api.SendCode200JSONResponse{Data: api.CodeSentData{Msg: api.CodeSent{
		NextIn: int64(secondsToWait(sent.NextIn)), ExpiresIn: secondsLeft(sent.ExpiresIn),
	}}}, nil
}

var errForeignPhone = apperr.New(apperr.InvalidInput, apperr.Detail{
	Field: "/phone", Reason: apperr.Text{Chinese: "不是当前用户的手机号", English: "is not the user's own phone"},
})

// checkReceiver lets codes that change an account go to its own user only.
func (s *server) checkReceiver(ctx context.Context, phone string, purpose verify.Purpose) error {
	if !slices.Contains([]verify.Purpose{verify.ChangePhone, verify.Delete, verify.Export}, purpose) {
		return nil
	}
	current := callFrom(ctx).session
	if current.UserID == "" {
		return errNotLoggedIn
	}
	user, err := s.Accounts.Get(ctx, current.UserID)
	if err != nil {
		return err
	}
	if purpose != verify.ChangePhone && user.Phone != phone {
		return errForeignPhone
	}
	return nil
}
