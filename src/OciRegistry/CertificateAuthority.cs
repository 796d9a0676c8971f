using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace OciRegistry;

/// <summary>A PEM file with the authorities that a TLS certificate must lead to, in place of the system's.</summary>
internal static class CertificateAuthority
{
    /// <summary>All that is wrong with the file, each sentence with its remedy; empty when nothing is, or there is no file.</summary>
    public static IEnumerable<string> Problems(string? path) =>
        path is null ? [] : UnusableFileException.ProblemsOf(() => Read(path));

    /// <summary>The certificates in the content of a file.</summary>
    /// <exception cref="UnusableFileException">There is none.</exception>
    public static X509Certificate2Collection Parse(string path, byte[] content)
    {
        var certificates = new X509Certificate2Collection();
        try
        {
            certificates.ImportFromPem(System.Text.Encoding.ASCII.GetString(content));
        }
        catch (CryptographicException)
        {
            certificates.Clear();
        }

        return certificates.Count > 0
            ? certificates
            : throw new UnusableFileException(path, ["It has no certificate that can be read. It must be a PEM file."]);
    }

    /// <summary>Trust in the authorities of the file, and in no others.</summary>
    /// <exception cref="UnusableFileException">It cannot be used.</exception>
    public static X509ChainPolicy TrustIn(string path)
    {
        var policy = new X509ChainPolicy
        {
            TrustMode = X509ChainTrustMode.CustomRootTrust,
            RevocationMode = X509RevocationMode.NoCheck,
        };
        policy.CustomTrustStore.AddRange(Read(path));
        return policy;
    }

    /// <summary>The same, for what has a callback and no policy.</summary>
    /// <exception cref="UnusableFileException">It cannot be used.</exception>
    public static RemoteCertificateValidationCallback TrustOnlyIn(string path)
    {
        var policy = TrustIn(path);
        return (_, certificate, chain, errors) =>
            (errors | SslPolicyErrors.RemoteCertificateChainErrors) == SslPolicyErrors.RemoteCertificateChainErrors
            && LeadsTo(policy, (X509Certificate2)certificate!, chain!);
    }

    /// <summary>Trust in the authorities of the file beside the system's.</summary>
    /// <exception cref="UnusableFileException">It cannot be used.</exception>
    public static RemoteCertificateValidationCallback TrustBesideSystem(string path)
    {
        var onlyInThem = TrustOnlyIn(path);
        return (sender, certificate, chain, errors) =>
            errors == SslPolicyErrors.None || onlyInThem(sender, certificate, chain, errors);
    }

    private static X509Certificate2Collection Read(string path) => new WatchedFile<X509Certificate2Collection>(path, Parse).Value;

    private static bool LeadsTo(X509ChainPolicy authorities, X509Certificate2 certificate, X509Chain sent)
    {
        using var chain = new X509Chain { ChainPolicy = authorities.Clone() };
        foreach (var purpose in sent.ChainPolicy.ApplicationPolicy)
        {
            chain.ChainPolicy.ApplicationPolicy.Add(purpose);
        }

        chain.ChainPolicy.ExtraStore.AddRange(sent.ChainPolicy.ExtraStore);
        return chain.Build(certificate);
    }
}
