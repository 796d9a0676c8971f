using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using OciRegistry.IntegrationTests.Support;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Azure;

/// <summary>
/// No key and no SAS: the server gets tokens as a managed identity does, from an endpoint that its platform names in the
/// environment, and Azurite, over TLS, takes nothing but such tokens and what was signed with a key that it gave for one.
/// </summary>
public sealed class AzureIdentityTests
{
    private const string Section = "OciRegistry:Storage:AzureBlobs";

    private readonly string _repository = RegistryClient.NewRepository();

    [Fact]
    public async Task A_managed_identity_stores_and_signs_addresses_for_redirects()
    {
        await using var folder = new TempFolder();
        using var certificate = NewCertificate(folder);
        await using var azurite = await AzuriteServer.StartAsync(
            "--cert", folder["cert.pem"], "--key", folder["key.pem"], "--oauth", "basic");
        await using var identity = NewIdentityEndpoint();
        await identity.StartAsync();
        var environment = Tool.Require("env").With(
            $"SSL_CERT_FILE={folder["cert.pem"]}", $"IDENTITY_ENDPOINT={identity.Urls.Single()}/token", "IDENTITY_HEADER=secret");
        await using var server = await ServerProcess.StartWithAsync(
            environment, $"{Section}:ServiceUri=https://127.0.0.1:{azurite.Port}/{AzuriteServer.Account}", $"{Section}:Redirect=true");

        var content = RegistryClient.RandomBytes(100_000);
        await server.Http.PushImageAsync(_repository, "v1");
        await server.Http.PushBlobAsync(_repository, content);
        using var redirected = await server.Http.RequestAsync("GET", $"/v2/{_repository}/blobs/{Digest.Of(content)}");

        redirected.StatusCode.ShouldBe(HttpStatusCode.TemporaryRedirect);
        var elsewhere = redirected.Headers.Location!;
        elsewhere.Query.ShouldContain("skoid="); // signed with the identity's key
        using var client = new HttpClient(new HttpClientHandler
        {
            ServerCertificateCustomValidationCallback = (_, presented, _, _) => presented?.Thumbprint == certificate.Thumbprint,
        });
        (await client.GetByteArrayAsync(elsewhere)).ShouldBe(content);
        using (var withoutSignature = await client.GetAsync(new Uri(elsewhere.GetLeftPart(UriPartial.Path))))
        {
            withoutSignature.IsSuccessStatusCode.ShouldBeFalse();
        }

        server.Log.ShouldNotContain("sig=");
        server.Log.ShouldNotContain("secret");
    }

    [Fact]
    public async Task Without_any_identity_the_start_says_so()
    {
        var result = await Tool.Require("env").TryRunAsync(
            "AZURE_TOKEN_CREDENTIALS=EnvironmentCredential", Checkout.ServerExecutable, "--urls=http://127.0.0.1:0",
            $"--{Section}:ServiceUri=https://127.0.0.1:{FreePort.Next()}/{AzuriteServer.Account}");
        result.ExitCode.ShouldBe(1);
        result.Error.ShouldContain("needs an identity, and this machine has none that may be used");
        result.Error.ShouldNotContain("   at ");
    }

    /// <summary>What App Service and Container Apps give to those that they run.</summary>
    private static WebApplication NewIdentityEndpoint()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0));
        var app = builder.Build();
        app.Run(async context =>
        {
            context.Response.StatusCode = context.Request.Headers["X-IDENTITY-HEADER"] == "secret" ? 200 : 401;
            var expires = DateTimeOffset.UtcNow.AddHours(1).ToUnixTimeSeconds();
            await context.Response.WriteAsync(new JsonObject
            {
                ["access_token"] = NewToken(expires),
                ["expires_on"] = $"{expires}",
                ["resource"] = "https://storage.azure.com",
                ["token_type"] = "Bearer",
            }.ToJsonString());
        });
        return app;
    }

    /// <summary>Azurite looks at its claims, not at its signature.</summary>
    private static string NewToken(long expires)
    {
        var claims = new JsonObject
        {
            ["aud"] = "https://storage.azure.com",
            ["iss"] = "https://sts.windows.net/ab1f708d-50f6-404c-a006-d71b2ac7a606/",
            ["iat"] = expires - 7200,
            ["nbf"] = expires - 7200,
            ["exp"] = expires,
            ["oid"] = "23657296-5cd5-45b0-a809-d972a7f4dfe1",
            ["tid"] = "ab1f708d-50f6-404c-a006-d71b2ac7a606",
            ["sub"] = "23657296-5cd5-45b0-a809-d972a7f4dfe1",
        };
        return $"{Encode("""{"alg":"RS256","typ":"JWT"}""")}.{Encode(claims.ToJsonString())}.c2lnbmF0dXJl";

        static string Encode(string text) =>
            Convert.ToBase64String(Encoding.UTF8.GetBytes(text)).TrimEnd('=').Replace('+', '-').Replace('/', '_');
    }

    private static X509Certificate2 NewCertificate(TempFolder folder)
    {
        using var key = RSA.Create(2048);
        var request = new CertificateRequest("CN=127.0.0.1", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        var names = new SubjectAlternativeNameBuilder();
        names.AddIpAddress(IPAddress.Loopback);
        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        var certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        File.WriteAllText(folder["cert.pem"], certificate.ExportCertificatePem());
        File.WriteAllText(folder["key.pem"], key.ExportPkcs8PrivateKeyPem());
        return certificate;
    }
}
