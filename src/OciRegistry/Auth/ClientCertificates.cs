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

    /// <summary>The certificate's subject; null when it does not lead to one of the authorities, or has not one name.</summary>
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

    /// <summary>
    /// The certificate's URI, or without one its common name, as <c>cn:NAME</c>: an authority that checks the one and not the other
    /// lets no client choose it. Null when there are several, for each may be meant for another verifier.
    /// </summary>
    private static string? NameOf(X509Certificate2 certificate)
    {
        var uris = new List<string>();
        foreach (var extension in certificate.Extensions)
        {
            if (extension.Oid?.Value == SubjectAlternativeName && !TryAddUris(extension, uris))
            {
                return null;
            }
        }

        return uris switch
        {
            [] => CommonName(certificate) is { } name && IsPrintable(name) ? Caller.CommonNamePrefix + name : null,
            [var uri] when IsPrintable(uri) && !uri.StartsWith(Caller.CommonNamePrefix, StringComparison.OrdinalIgnoreCase) => uri,
            _ => null,
        };
    }

    private static bool IsPrintable(string name) => name.Length > 0 && name.All(c => c is > ' ' and <= '~');

    // GetNameInfo would take an e-mail address for it where there is none.
    private static string? CommonName(X509Certificate2 certificate)
    {
        var names = certificate.SubjectName.EnumerateRelativeDistinguishedNames()
            .Where(part => !part.HasMultipleElements && part.GetSingleElementType().Value == CommonNameType)
            .Select(part => part.GetSingleElementValue())
            .ToList();
        return names is [var name] ? name : null;
    }

    /// <summary>False when the extension cannot be read.</summary>
    // RFC 5280: GeneralName's uniformResourceIdentifier is [6] IA5String.
    private static bool TryAddUris(X509Extension extension, List<string> uris)
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
                    uris.Add(names.ReadCharacterString(UniversalTagNumber.IA5String, tag));
                }
                else
                {
                    names.ReadEncodedValue();
                }
            }

            return true;
        }
        catch (AsnContentException)
        {
            return false;
        }
    }

    private sealed record Checked(X509Certificate2Collection Authorities, Caller? Caller);
}
