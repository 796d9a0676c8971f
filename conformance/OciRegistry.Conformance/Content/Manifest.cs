using System.Text;

namespace OciRegistry.Conformance.Content;

/// <summary>The exact bytes of an image manifest or index, their media type and digest.</summary>
internal sealed record Manifest(string MediaType, byte[] Bytes, Digest Digest)
{
    /// <summary>The document as compact JSON; its media type is the one it names itself.</summary>
    public static Manifest Of(JsonObject document, string algorithm = Digest.Sha256) =>
        Of(document.AsText(), document["mediaType"]!.GetValue<string>(), algorithm);

    public static Manifest Of(string text, string mediaType, string algorithm = Digest.Sha256) =>
        Of(Encoding.UTF8.GetBytes(text), mediaType, algorithm);

    public static Manifest Of(byte[] bytes, string mediaType, string algorithm = Digest.Sha256) =>
        new(mediaType, bytes, Digest.Of(bytes, algorithm));

    public JsonObject Descriptor() => Documents.Descriptor(MediaType, Digest, Bytes.Length);

    /// <summary>The same bytes, addressed by the other algorithm.</summary>
    public Manifest As(string algorithm) => Of(Bytes, MediaType, algorithm);
}
