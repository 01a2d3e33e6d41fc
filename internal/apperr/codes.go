package apperr

import "net/http"

// Code is the stable number of a kind of error. Apps branch on it; it never changes its meaning.
type Code int32

// 1xxx are about users, 2xxx about pictures, 9xxx about the server itself.
const (
	OK Code = 0

	InvalidInput      Code = 1001
	AlreadyRegistered Code = 1002
	NotRegistered     Code = 1003
	WrongCode         Code = 1004
	WrongPassword     Code = 1005
	NotLoggedIn       Code = 1006
	CrossOrigin       Code = 1007

	CodeTooSoon         Code = 1008
	TooManyCodes        Code = 1009
	RegionNotServed     Code = 1010
	SendingFailed       Code = 1011
	CaptchaRequired     Code = 1012
	CodeExpired         Code = 1013
	TooManyFailures     Code = 1014
	PasswordRequired    Code = 1015
	InvalidRefreshToken Code = 1016
	RefreshTokenReused  Code = 1017
	SessionNotFound     Code = 1018
	CommonPassword      Code = 1019
	AccountDisabled     Code = 1020

	EmptyUpload    Code = 2001
	NotAnImage     Code = 2002
	UploadTooLarge Code = 2003
	TooManyImages  Code = 2004
	ImageNotFound  Code = 2005
	ImageDamaged   Code = 2006
	TooManyPixels  Code = 2007

	ImageCountExceeded      Code = 2008
	ImageBytesExceeded      Code = 2009
	UploadSessionNotFound   Code = 2010
	OffsetMismatch          Code = 2011
	ChecksumMismatch        Code = 2012
	TusVersionUnsupported   Code = 2013
	TooManyUploadSessions   Code = 2014
	DirectUploadUnavailable Code = 2015
	DirectUploadMissing     Code = 2016

	Internal             Code = 9001
	ServerBusy           Code = 9002
	TooManyRequests      Code = 9003
	PathNotFound         Code = 9004
	MethodNotAllowed     Code = 9005
	StorageFull          Code = 9006
	UnsupportedMediaType Code = 9007
	BodyTooLarge         Code = 9008
	NotLocal             Code = 9009
	IdempotencyKeyReused Code = 9010
	StorageUnavailable   Code = 9011
	InvalidSignature     Code = 9012
)

// StatusChecksumMismatch is the status that the tus protocol has for a piece that does not match its checksum.
const StatusChecksumMismatch = 460

// Text is what a person reads, in both languages.
type Text struct{ Chinese, English string }

// Language is the one that a client prefers.
type Language string

// The two languages of the server. Chinese is spoken where nothing else is asked for.
const (
	Chinese Language = "zh-CN"
	English Language = "en"
)

// In returns the text in a language.
func (t Text) In(language Language) string {
	if language == English {
		return t.English
	}
	return t.Chinese
}

type entry struct {
	status int
	text   Text
}

var registry = map[Code]entry{
	OK: {http.StatusOK, Text{"ok", "ok"}},

	InvalidInput:      {http.StatusBadRequest, Text{"入参非法", "The request is not valid"}},
	AlreadyRegistered: {http.StatusConflict, Text{"用户已注册，请直接登录", "This phone number is already registered, please log in"}},
	NotRegistered:     {http.StatusNotFound, Text{"用户尚未注册，请先注册", "This phone number is not registered yet, please register first"}},
	WrongCode:         {http.StatusUnprocessableEntity, Text{"验证码错误", "The verification code is wrong"}},
	WrongPassword:     {http.StatusUnauthorized, Text{"密码错误", "The password is wrong"}},
	NotLoggedIn:       {http.StatusUnauthorized, Text{"请先登录", "Please log in first"}},
	CrossOrigin:       {http.StatusForbidden, Text{"拒绝跨站请求", "Requests from other sites are refused"}},

	CodeTooSoon:         {http.StatusTooManyRequests, Text{"验证码刚刚发送过，请稍后再试", "A code was sent a moment ago, please wait a little"}},
	TooManyCodes:        {http.StatusTooManyRequests, Text{"验证码发送次数过多，请稍后再试", "Too many codes were asked for, please try again later"}},
	RegionNotServed:     {http.StatusUnprocessableEntity, Text{"暂不支持该国家或地区的手机号", "Phone numbers of this country or region are not served"}},
	SendingFailed:       {http.StatusServiceUnavailable, Text{"验证码发送失败，请稍后重试", "The code could not be sent, please try again"}},
	CaptchaRequired:     {http.StatusForbidden, Text{"请先完成人机验证", "Please prove that you are a person first"}},
	CodeExpired:         {http.StatusUnprocessableEntity, Text{"验证码已失效，请重新获取", "This code is no longer valid, please ask for a new one"}},
	TooManyFailures:     {http.StatusTooManyRequests, Text{"密码错误次数过多，请稍后再试或使用验证码", "Too many wrong passwords, please wait or use a code"}},
	PasswordRequired:    {http.StatusForbidden, Text{"账号长期未登录，请同时输入密码，或重新开始", "Nobody has logged in here for long, please give the password too, or start afresh"}},
	InvalidRefreshToken: {http.StatusUnauthorized, Text{"登录已失效，请重新登录", "This login is no longer valid, please log in again"}},
	RefreshTokenReused:  {http.StatusUnauthorized, Text{"登录凭证被重复使用，为安全起见已退出登录", "A login token was used twice, so this login was ended to be safe"}},
	SessionNotFound:     {http.StatusNotFound, Text{"登录设备不存在", "There is no such session"}},
	CommonPassword:      {http.StatusUnprocessableEntity, Text{"密码过于常见，请换一个", "This password is too common, please choose another"}},
	AccountDisabled:     {http.StatusForbidden, Text{"账号已被停用", "This account is disabled"}},

	EmptyUpload:    {http.StatusBadRequest, Text{"上传图片不能为空", "The uploaded picture is empty"}},
	NotAnImage:     {http.StatusUnsupportedMediaType, Text{"只支持 JPEG、PNG、GIF、WebP 和 HEIC 图片", "Only JPEG, PNG, GIF, WebP and HEIC pictures are accepted"}},
	UploadTooLarge: {http.StatusRequestEntityTooLarge, Text{"上传内容过大", "The upload is too large"}},
	TooManyImages:  {http.StatusBadRequest, Text{"一次上传的图片过多", "Too many pictures in one upload"}},
	ImageNotFound:  {http.StatusNotFound, Text{"图片不存在", "There is no such picture"}},
	ImageDamaged:   {http.StatusUnprocessableEntity, Text{"图片不完整或已损坏", "The picture is cut off or damaged"}},
	TooManyPixels:  {http.StatusUnprocessableEntity, Text{"图片尺寸过大", "The picture has too many pixels"}},

	ImageCountExceeded:      {http.StatusForbidden, Text{"图片数量已达上限", "You have as many pictures as you may have"}},
	ImageBytesExceeded:      {http.StatusForbidden, Text{"图片存储空间已用完", "Your pictures take as much room as they may take"}},
	UploadSessionNotFound:   {http.StatusNotFound, Text{"上传会话不存在或已过期", "There is no such upload session, or it has expired"}},
	OffsetMismatch:          {http.StatusConflict, Text{"上传位置不一致，请查询后继续", "The upload is not at this offset, please ask for it and go on there"}},
	ChecksumMismatch:        {StatusChecksumMismatch, Text{"分片校验失败，请重新发送", "The checksum of the piece is wrong, please send it again"}},
	TusVersionUnsupported:   {http.StatusPreconditionFailed, Text{"不支持该 tus 协议版本", "This version of the tus protocol is not spoken here"}},
	TooManyUploadSessions:   {http.StatusTooManyRequests, Text{"未完成的上传过多，请先完成或取消", "Too many uploads are unfinished, please finish or cancel some"}},
	DirectUploadUnavailable: {http.StatusConflict, Text{"服务器不支持直传，请使用普通上传", "This server takes no direct uploads, please upload through it"}},
	DirectUploadMissing:     {http.StatusConflict, Text{"文件尚未上传到存储", "Nothing was uploaded to the storage yet"}},

	Internal:             {http.StatusInternalServerError, Text{"服务器内部错误", "Something went wrong on our side"}},
	ServerBusy:           {http.StatusServiceUnavailable, Text{"服务器繁忙，请稍后再试", "The server is busy, please try again later"}},
	TooManyRequests:      {http.StatusTooManyRequests, Text{"请求过于频繁，请稍后再试", "Too many requests, please try again later"}},
	PathNotFound:         {http.StatusNotFound, Text{"路径不存在", "There is nothing at this path"}},
	MethodNotAllowed:     {http.StatusMethodNotAllowed, Text{"不支持该请求方法", "This path does not support this method"}},
	StorageFull:          {http.StatusInsufficientStorage, Text{"存储空间不足", "The storage is full"}},
	UnsupportedMediaType: {http.StatusUnsupportedMediaType, Text{"不支持该内容类型", "This content type is not supported"}},
	BodyTooLarge:         {http.StatusRequestEntityTooLarge, Text{"请求体过大", "The request body is too large"}},
	NotLocal:             {http.StatusForbidden, Text{"开发模式只接受来自本机的请求", "Development mode only answers requests from this machine"}},
	IdempotencyKeyReused: {http.StatusUnprocessableEntity, Text{"该 Idempotency-Key 已用于其他请求", "This Idempotency-Key belongs to another request"}},
	StorageUnavailable:   {http.StatusServiceUnavailable, Text{"图片存储暂不可用，请稍后再试", "The storage of pictures is not available, please try again later"}},
	InvalidSignature:     {http.StatusUnauthorized, Text{"签名无效", "The signature is not valid"}},
}

// Status returns the HTTP status of a code.
func (c Code) Status() int { return registry[c].status }

// Text returns what a code says to a person.
func (c Code) Text() Text { return registry[c].text }

// Codes returns every code that there is.
func Codes() []Code {
	codes := make([]Code, 0, len(registry))
	for code := range registry {
		codes = append(codes, code)
	}
	return codes
}
