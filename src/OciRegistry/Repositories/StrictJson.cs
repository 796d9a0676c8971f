using System.Text.Json;
using System.Text.Unicode;

namespace OciRegistry.Repositories;

/// <summary>JSON that every parser reads the same: it is passed on as it is, to clients in any language.</summary>
internal static class StrictJson
{
    private const int MaxDepth = 64;

    /// <exception cref="JsonException">The content is not such JSON; its message says why.</exception>
    public static JsonDocument Parse(ReadOnlyMemory<byte> content)
    {
        if (content.Span.StartsWith("\uFEFF"u8))
        {
            throw new JsonException("The manifest starts with a byte order mark. Push it without one.");
        }

        if (!Utf8.IsValid(content.Span))
        {
            throw new JsonException("The manifest is not UTF-8 text. Push it as UTF-8 and uncompressed.");
        }

        try
        {
            RefuseHalfCharacters(content.Span);
            return JsonDocument.Parse(
                content, new JsonDocumentOptions { MaxDepth = MaxDepth, AllowDuplicateProperties = false });
        }
        catch (JsonException e)
        {
            throw new JsonException($"The manifest is not valid JSON: {e.Message}", e);
        }
    }

    /// <summary>Half of a surrogate pair, as in <c>"\ud800"</c>, is JSON by the grammar, but no text.</summary>
    private static void RefuseHalfCharacters(ReadOnlySpan<byte> content)
    {
        if (content.IndexOf("\\u"u8) < 0)
        {
            return;
        }

        var reader = new Utf8JsonReader(content, new JsonReaderOptions { MaxDepth = MaxDepth });
        while (reader.Read())
        {
            if (!reader.ValueIsEscaped)
            {
                continue;
            }

            try
            {
                _ = reader.GetString();
            }
            catch (InvalidOperationException e)
            {
                throw new JsonException($"A \\u escape before byte {reader.BytesConsumed} is half a character.", e);
            }
        }
    }
}
