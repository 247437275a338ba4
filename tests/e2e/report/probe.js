// Runs at the end of a page and tells the page around it what it found.
const found = { problems: [], svgs: 0, texts: 0 };
const problem = (what, element) => {
    const text = (element.textContent || element.getAttribute("aria-label") || "").trim().slice(0, 60);
    found.problems.push(`${what}: <${element.tagName.toLowerCase()} class="${element.getAttribute("class") || ""}"> ${text}`);
};
const seen = (element) => element.checkVisibility() && !element.closest(".hidden") && !element.closest(".fold thead");
document.querySelectorAll("details").forEach((details) => { details.open = true; });

found.width = innerWidth;
found.dark = matchMedia("(prefers-color-scheme: dark)").matches;
found.title = document.title;
found.scripts = document.scripts.length - 1;
found.images = document.images.length;
found.fetched = performance.getEntriesByType("resource").map((entry) => entry.name).filter((name) => !name.startsWith("data:"));
if (document.documentElement.scrollWidth > innerWidth) found.problems.push(`the page scrolls sideways: ${document.documentElement.scrollWidth}`);

for (const svg of document.querySelectorAll("svg")) {
    if (!seen(svg)) continue;
    found.svgs += 1;
    const box = svg.getBoundingClientRect();
    if (box.width < 1 || box.height < 1) problem("empty", svg);
    if (!svg.getAttribute("aria-label") && svg.getAttribute("aria-hidden") !== "true") problem("without a label", svg);
    const texts = [...svg.querySelectorAll("text")].filter(seen);
    const boxes = texts.map((text) => text.getBoundingClientRect());
    texts.forEach((text, place) => {
        const frame = text.closest("figure").getBoundingClientRect();
        const own = boxes[place];
        if (own.left < frame.left || own.right > frame.right || own.top < frame.top || own.bottom > frame.bottom) problem("outside of its card", text);
        boxes.slice(place + 1).forEach((other, next) => {
            const apart = own.right <= other.left || other.right <= own.left || own.bottom <= other.top || other.bottom <= own.top;
            if (!apart) problem(`over "${texts[place + 1 + next].textContent}"`, text);
        });
    });
}

const color = (text) => {
    const parts = text.match(/[\d.]+/g).map(Number);
    const scale = text.startsWith("color(") ? 255 : 1;
    return [parts[0] * scale, parts[1] * scale, parts[2] * scale, parts[3] === undefined ? 1 : parts[3]];
};
const over = (front, back) => front.slice(0, 3).map((part, place) => part * front[3] + back[place] * (1 - front[3]));
const background = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) {
        const layer = color(getComputedStyle(at).backgroundColor);
        if (layer[3] > 0) layers.push(layer);
        if (layer[3] === 1) break;
    }
    return layers.reverse().reduce((back, front) => over(front, back), [255, 255, 255]);
};
const luminance = (rgb) => {
    const [r, g, b] = rgb.map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
found.contrast = 21;
for (const element of document.querySelectorAll("main *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !seen(element) || element.tagName === "title") continue;
    found.texts += 1;
    const style = getComputedStyle(element);
    const ink = color(element instanceof SVGElement ? style.fill : style.color);
    const page = background(element instanceof SVGElement ? element.closest("figure, td, li") : element);
    const [light, dark] = [luminance(over(ink, page)), luminance(page)].sort((a, b) => b - a);
    const contrast = (light + 0.05) / (dark + 0.05);
    found.contrast = Math.min(found.contrast, contrast);
    if (contrast < 4.5) problem(`contrast ${contrast.toFixed(2)}`, element);
    if (element instanceof SVGElement) continue;
    const range = document.createRange();
    range.selectNodeContents(element);
    const text = range.getBoundingClientRect();
    const frame = (element.closest(".card, .tile, .notice, .verdict") || document.body).getBoundingClientRect();
    if (text.left < frame.left - 0.5 || text.right > frame.right + 0.5) problem("text overflows", element);
}
document.currentScript.remove();
found.dom = document.documentElement.outerHTML;
parent.postMessage(JSON.stringify(found), "*");
