using System.Net;
using System.Net.NetworkInformation;
using System.Security.Cryptography.X509Certificates;

namespace OciRegistry.Server;

/// <summary>What can be known of the addresses without listening on them. That of a name is not looked up.</summary>
internal static class ListeningCheck
{
    private const string DefaultCertificate = "Kestrel:Certificates:Default";
    private const string DevelopmentCertificate = "1.3.6.1.4.1.311.84.1.1"; // what "dotnet dev-certs" marks its own with

    /// <summary>Addresses that this machine does not have, and certificates that cannot be used or are missing.</summary>
    public static IEnumerable<string> Problems(IConfiguration configuration)
    {
        var here = NetworkInterface.GetAllNetworkInterfaces()
            .SelectMany(network => network.GetIPProperties().UnicastAddresses)
            .Select(address => address.Address)
            .ToHashSet();
        foreach (var url in Listening.Urls(configuration).Concat(Listening.OperationsUrls(configuration)).Where(Listening.IsUrl))
        {
            if (IPAddress.TryParse(BindingAddress.Parse(url).Host, out var address) && !IsHere(address))
            {
                yield return $"{url} is no address of this machine. Set it to one of its own, or to http://*:5000 for all of them.";
            }
        }

        foreach (var problem in CertificateProblems(configuration))
        {
            yield return problem;
        }

        bool IsHere(IPAddress address) =>
            IPAddress.IsLoopback(address) || address.Equals(IPAddress.Any) || address.Equals(IPAddress.IPv6Any) || here.Contains(address);
    }

    /// <summary>Addresses that somebody listens on now: this registry itself, maybe, before it is started again.</summary>
    public static IEnumerable<string> Warnings(IConfiguration configuration)
    {
        var used = IPGlobalProperties.GetIPGlobalProperties().GetActiveTcpListeners();
        return from url in Listening.Urls(configuration).Concat(Listening.OperationsUrls(configuration))
               let address = BindingAddress.Parse(url)
               where !address.IsUnixPipe && address.Port != 0 && used.Any(one => one.Port == address.Port && Meets(one.Address, address.Host))
               select $"{url} is in use now. Stop the program that listens there before the registry is started.";
    }

    private static bool Meets(IPAddress used, string host) =>
        used.Equals(IPAddress.Any) || used.Equals(IPAddress.IPv6Any)
        || !IPAddress.TryParse(host, out var address) // a star, or localhost
        || address.Equals(IPAddress.Any) || address.Equals(IPAddress.IPv6Any)
        || used.Equals(address);

    private static IEnumerable<string> CertificateProblems(IConfiguration configuration)
    {
        var standard = configuration.GetSection(DefaultCertificate);
        var endpoints = configuration.GetSection(Listening.Endpoints).GetChildren().ToList();
        foreach (var section in endpoints.Select(endpoint => endpoint.GetSection("Certificate")).Prepend(standard))
        {
            if (section["Path"] is not null && Problem(section) is { } problem)
            {
                yield return problem;
            }
        }

        var without = endpoints.Count > 0
            ? endpoints.Where(endpoint => !endpoint.GetSection("Certificate").Exists()).Select(endpoint => endpoint["Url"] ?? "")
            : Listening.Urls(configuration);
        foreach (var url in without.Concat(Listening.OperationsUrls(configuration)).Where(url => url.StartsWith("https:", StringComparison.OrdinalIgnoreCase)))
        {
            if (!standard.Exists() && !HasDevelopmentCertificate())
            {
                yield return $"{url} has no certificate. Set {DefaultCertificate}:Path and {DefaultCertificate}:KeyPath to PEM files.";
            }
        }
    }

    private static string? Problem(IConfigurationSection section)
    {
        try
        {
            _ = new TlsCertificate(section);
            return null;
        }
        catch (Exception e) when (TlsCertificates.IsProblem(e))
        {
            return $"{section.Path} cannot be used: {e.Message.TrimEnd('.')}. Set Path to the certificate and KeyPath to its key, both PEM "
                + "files that this program's user may read.";
        }
    }

    private static bool HasDevelopmentCertificate()
    {
        try
        {
            using var store = new X509Store(StoreName.My, StoreLocation.CurrentUser, OpenFlags.ReadOnly);
            return store.Certificates.Any(one => one.HasPrivateKey && one.Extensions.Any(extension => extension.Oid?.Value == DevelopmentCertificate));
        }
        catch (System.Security.Cryptography.CryptographicException)
        {
            return false; // there is no store, and so none in it
        }
    }
}
