window.addEventListener("DOMContentLoaded", () => {
  window.ui = SwaggerUIBundle({
    url: "/openapi.json",
    dom_id: "#swagger-ui",
    layout: "BaseLayout",
    presets: [SwaggerUIBundle.presets.apis],
    deepLinking: true,
    displayRequestDuration: true,
    persistAuthorization: true,
    showCommonExtensions: true,
    showExtensions: true, // x-error-codes
    tryItOutEnabled: true,
    validatorUrl: null, // nothing leaves this server
  });
});
