using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using OciRegistry.Server.Settings;

namespace OciRegistry.Server;

/// <summary>
/// The certificates of Kestrel's settings, read again when their files change. Kestrel can do so itself, but closes the
/// endpoint for it, and with it every upload that takes longer than 5 s more. Here only new connections see the new one.
/// </summary>
internal sealed partial class TlsCertificates(RegistryMetrics metrics, ILogger<TlsCertificates> log) : BackgroundService
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    private readonly List<TlsCertificate> _certificates = [];

    public static void Configure(WebApplicationBuilder builder)
    {
        builder.Services.AddSingleton<TlsCertificates>();
        builder.Services.AddHostedService(services => services.GetRequiredService<TlsCertificates>());
        builder.Services.AddOptions<KestrelServerOptions>().Configure<TlsCertificates, IConfiguration>(
            (kestrel, certificates, configuration) => certificates.Configure(kestrel, configuration));
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval);
        if (_certificates.Count > 0)
        {
            metrics.FileRead("certificates", isRejected: false);
            metrics.ObserveCertificates(() => _certificates.Min(certificate => certificate.Expiry));
        }

        while (_certificates.Count > 0 && await timer.WaitForNextTickAsync(stoppingToken))
        {
            foreach (var certificate in _certificates)
            {
                Refresh(certificate);
            }

            metrics.FileRead("certificates", _certificates.Exists(certificate => certificate.IsRejected));
        }
    }

    private void Configure(KestrelServerOptions kestrel, IConfiguration configuration)
    {
        var section = configuration.GetSection("Kestrel");
        var loader = kestrel.Configure(section, reloadOnChange: false);
        var standard = Open(section.GetSection("Certificates:Default"));
        var asksClients = ServerConfiguration.Auth(configuration).ClientCertificates.Authority is not null;
        kestrel.ConfigureHttpsDefaults(https =>
        {
            if (asksClients)
            {
                // Whether it leads to the registry's authorities is looked at with the request: who has another one is nobody,
                // and may log in otherwise.
                https.ClientCertificateMode = ClientCertificateMode.AllowCertificate;
                https.AllowAnyClientCertificate();
            }

            Serve(https, standard);
        });
        foreach (var endpoint in section.GetSection("Endpoints").GetChildren())
        {
            if (Open(endpoint.GetSection("Certificate")) is { } certificate)
            {
                loader.Endpoint(endpoint.Key, configured => Serve(configured.HttpsOptions, certificate));
            }
        }
    }

    private static void Serve(HttpsConnectionAdapterOptions https, TlsCertificate? certificate) =>
        https.OnAuthenticate = (_, connection) =>
        {
            // Whatever asks for client certificates, the settings of Kestrel too: the handshake looks at what a client sends
            // before anything is known of it, and must fetch nothing from an address in there.
            connection.CertificateChainPolicy = new X509ChainPolicy
            {
                DisableCertificateDownloads = true,
                RevocationMode = X509RevocationMode.NoCheck,
            };
            if (certificate is not null)
            {
                connection.ServerCertificateContext = certificate.Context;
            }
        };

    // What cannot be used Kestrel says itself, when it starts.
    private TlsCertificate? Open(IConfigurationSection section)
    {
        if (section["Path"] is null)
        {
            return null;
        }

        try
        {
            var certificate = new TlsCertificate(section);
            _certificates.Add(certificate);
            return certificate;
        }
        catch (Exception e) when (IsProblem(e))
        {
            return null;
        }
    }

    private void Refresh(TlsCertificate certificate)
    {
        try
        {
            if (certificate.Refresh())
            {
                LogChanged(log, certificate.Path);
            }
        }
        catch (Exception e) when (IsProblem(e))
        {
            LogKept(log, certificate.Path, e.Message);
        }
    }

    internal static bool IsProblem(Exception exception) =>
        exception is CryptographicException or IOException or UnauthorizedAccessException or ArgumentException;

    [LoggerMessage(LogLevel.Information, "The certificate '{Path}' has changed; new connections get the new one.")]
    private static partial void LogChanged(ILogger logger, string path);

    [LoggerMessage(LogLevel.Error, "The certificate '{Path}' has changed into one that cannot be used, so the one before is still served: {Problem}")]
    private static partial void LogKept(ILogger logger, string path, string problem);
}
