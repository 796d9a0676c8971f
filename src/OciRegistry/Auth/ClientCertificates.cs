using System.Formats.Asn1;
using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace OciRegistry.Auth;

/// <summary>Whose a TLS client certificate is.</summary>
internal sealed class ClientCertificates(AuthFiles files, TimeProvider time)
{
    private const string ClientAuthentication = "1.3.6.1.5.5.7.3.2";
    private const string CommonNameType = "2.5.4.3";
    private const string SubjectAlternativeName = "2.5.29.17";

    // A connection has one certificate for all its requests.
    private readonly ConditionalWeakTable<X509Certificate2, Checked> _checked = [];

    /// <summary>The certificate's subject; null when it does not lead to one of the authorities, or says no name.</summary>
    /// <param name="certificate">A connection's; null when it has none.</param>
    /// <param name="isNew">Whether it was looked at for the first time.</param>
    public Caller? CallerOf(X509Certificate2? certificate, out bool isNew)
    {
        isNew = false;
        if (certificate is null || files.ClientAuthorities is not { } authorities)
        {
            return null;
        }

        if (_checked.TryGetValue(certificate, out var known) && known.Authorities == authorities
            && time.GetUtcNow() < certificate.NotAfter.ToUniversalTime())
        {
            return known.Caller;
        }

        isNew = true;
        var caller = IsTrusted(certificate, authorities) && NameOf(certificate) is { } name
            ? new Caller(Caller.CertificatePrefix + name)
            : null;
        _checked.AddOrUpdate(certificate, new Checked(authorities, caller));
        return caller;
    }

    private bool IsTrusted(X509Certificate2 certificate, X509Certificate2Collection authorities)
    {
        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        foreach (var authority in authorities)
        {
            var isRoot = authority.SubjectName.RawData.AsSpan().SequenceEqual(authority.IssuerName.RawData);
            (isRoot ? chain.ChainPolicy.CustomTrustStore : chain.ChainPolicy.ExtraStore).Add(authority);
        }

        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        chain.ChainPolicy.VerificationTime = time.GetUtcNow().UtcDateTime;
        chain.ChainPolicy.ApplicationPolicy.Add(new Oid(ClientAuthentication));
        chain.ChainPolicy.DisableCertificateDownloads = true;
        return chain.Build(certificate);
    }

    private static string? NameOf(X509Certificate2 certificate)
    {
        foreach (var extension in certificate.Extensions)
        {
            if (extension.Oid?.Value == SubjectAlternativeName && FirstUri(extension) is { } uri)
            {
                return uri;
            }
        }

        return CommonName(certificate) is { Length: > 0 } name && name.All(c => c is > ' ' and <= '~') ? name : null;
    }

    // GetNameInfo would take an e-mail address for it where there is none.
    private static string? CommonName(X509Certificate2 certificate) =>
        certificate.SubjectName.EnumerateRelativeDistinguishedNames()
            .Where(part => !part.HasMultipleElements && part.GetSingleElementType().Value == CommonNameType)
            .Select(part => part.GetSingleElementValue())
            .FirstOrDefault();

    // RFC 5280: GeneralName's uniformResourceIdentifier is [6] IA5String.
    private static string? FirstUri(X509Extension extension)
    {
        const int uniformResourceIdentifier = 6;
        var tag = new Asn1Tag(TagClass.ContextSpecific, uniformResourceIdentifier);
        try
        {
            var names = new AsnReader(extension.RawData, AsnEncodingRules.DER).ReadSequence();
            while (names.HasData)
            {
                if (names.PeekTag().HasSameClassAndValue(tag))
                {
                    var uri = names.ReadCharacterString(UniversalTagNumber.IA5String, tag);
                    return uri.All(c => c is > ' ' and <= '~') ? uri : null;
                }

                names.ReadEncodedValue();
            }
        }
        catch (AsnContentException)
        {
            // It says nothing that can be read.
        }

        return null;
    }

    private sealed record Checked(X509Certificate2Collection Authorities, Caller? Caller);
}
