using Azure.Core;
using Azure.Core.Pipeline;
using Azure.Identity;
using Azure.Storage;
using Azure.Storage.Blobs;

namespace OciRegistry.Azure;

/// <summary>The account that the options name, and as whom it is spoken to.</summary>
internal static class AzureAccount
{
    /// <summary>What is wrong with address and credentials, beginning with the setting's name; null when nothing is.</summary>
    public static string? Problem(AzureBlobsOptions options)
    {
        if (!string.IsNullOrWhiteSpace(options.ConnectionString))
        {
            return !string.IsNullOrWhiteSpace(options.ServiceUri) || !string.IsNullOrWhiteSpace(options.AccountKey)
                    ? "ConnectionString stands beside ServiceUri or AccountKey. Leave it or them out."
                : Parses(options) ? RedirectProblem(options)
                : "ConnectionString is none. Copy it whole from the account's access keys; it begins like "
                    + "DefaultEndpointsProtocol=https;AccountName=";
        }

        if (string.IsNullOrWhiteSpace(options.ServiceUri))
        {
            return "ConnectionString and ServiceUri are empty. Set one of them to the storage account.";
        }

        if (!Uri.TryCreate(options.ServiceUri, UriKind.Absolute, out var uri) || uri.Scheme is not ("http" or "https"))
        {
            return "ServiceUri is no address. Set it to the account's blob service, such as "
                + "https://account.blob.core.windows.net.";
        }

        if (!string.IsNullOrWhiteSpace(options.AccountKey))
        {
            return HasSas(uri) ? "AccountKey stands beside a SAS in ServiceUri. Leave one of them out."
                : !Convert.TryFromBase64String(options.AccountKey, new byte[options.AccountKey.Length], out _)
                    ? "AccountKey is none: keys are base64. Copy it whole from the account's access keys."
                : null;
        }

        return HasSas(uri) ? RedirectProblem(options)
            : uri.Scheme == "http"
                ? "ServiceUri is http, over which no identity is sent. Use https, or set AccountKey."
            : null;
    }

    /// <summary>Whether everything goes in plain text; problems were ruled out before.</summary>
    public static bool IsPlain(AzureBlobsOptions options) => (string.IsNullOrWhiteSpace(options.ConnectionString)
        ? new Uri(options.ServiceUri!)
        : new BlobServiceClient(options.ConnectionString).Uri).Scheme == Uri.UriSchemeHttp;

    /// <summary>A client for the account; problems were ruled out before.</summary>
    public static BlobServiceClient Connect(AzureBlobsOptions options, TokenCredential? credential)
    {
        var handler = new SocketsHttpHandler
        {
            ConnectTimeout = TimeSpan.FromSeconds(5),
            PooledConnectionLifetime = TimeSpan.FromMinutes(5), // addresses change
            UseCookies = false,
            AllowAutoRedirect = false,
        };
        if (options.CertificateAuthority is { } authority)
        {
            handler.SslOptions.CertificateChainPolicy = CertificateAuthority.TrustIn(authority);
        }

        var client = new BlobClientOptions
        {
            // Ours: a call must know whether an earlier attempt may have taken effect.
            Retry = { MaxRetries = 0, NetworkTimeout = TimeSpan.FromMinutes(10) },
            Diagnostics = { IsLoggingEnabled = false, IsDistributedTracingEnabled = false, IsTelemetryEnabled = false },
            Transport = new HttpClientTransport(new HttpClient(handler) { Timeout = Timeout.InfiniteTimeSpan }), // ours as well
        };
        if (!string.IsNullOrWhiteSpace(options.ConnectionString))
        {
            return new BlobServiceClient(options.ConnectionString, client);
        }

        var uri = new Uri(options.ServiceUri!);
        if (!string.IsNullOrWhiteSpace(options.AccountKey))
        {
            var account = new BlobUriBuilder(uri).AccountName;
            return new BlobServiceClient(uri, new StorageSharedKeyCredential(account, options.AccountKey), client);
        }

        return HasSas(uri)
            ? new BlobServiceClient(uri, client)
            : new BlobServiceClient(uri, credential ?? new DefaultAzureCredential(), client);
    }

    private static bool HasSas(Uri uri) => uri.Query.Contains("sig=", StringComparison.Ordinal);

    private static bool Parses(AzureBlobsOptions options)
    {
        try
        {
            return new BlobServiceClient(options.ConnectionString).Uri.IsAbsoluteUri;
        }
        catch (Exception e) when (e is FormatException or ArgumentException or InvalidOperationException)
        {
            return false;
        }
    }

    private static string? RedirectProblem(AzureBlobsOptions options) =>
        options.Redirect && !(options.ConnectionString ?? "").Contains("AccountKey=", StringComparison.OrdinalIgnoreCase)
            && !(options.ConnectionString ?? "").Contains("UseDevelopmentStorage=true", StringComparison.OrdinalIgnoreCase)
            ? "Redirect cannot be done with a SAS: no other can be made from it. Use a key or an identity, or leave it out."
            : null;
}
